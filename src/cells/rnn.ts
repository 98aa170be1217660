/** `nn.RNN` (math.md section 10): h = f(W_ih x + b_ih + W_hh h' + b_hh), f = tanh or ReLU. */
import { defineCell } from './cell.js';
import { activation, add, linear } from './equations.js';

const elman = (name: string, nonlinearity: 'tanh' | 'relu') =>
  defineCell({
    name,
    parameters: ({ input, hidden }) => ({
      weight_ih: [hidden, input],
      weight_hh: [hidden, hidden],
      bias_ih: [hidden],
      bias_hh: [hidden],
    }),
    state: ({ hidden }) => ({ h: hidden }),
    output: 'h',
    recurrence: { matrix: 'weight_hh', activation: nonlinearity, carries: 'value' },
    step: (x, { h }, p) => ({
      h: activation(nonlinearity)(
        add(add(linear(x, p.weight_ih!), p.bias_ih!, p.bias_hh!), linear(h!, p.weight_hh!)),
      ),
    }),
  });

export const rnn = elman('rnn', 'tanh');
export const rnnRelu = elman('rnn-relu', 'relu');
