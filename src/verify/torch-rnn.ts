/** System `torch_rnn`: nn.RNN, nn.LSTM, nn.GRU with an optional readout (math.md section 10). */
import type { Cell } from '../cells/cell.js';
import { gru } from '../cells/gru.js';
import { lstm } from '../cells/lstm.js';
import { rnn, rnnRelu } from '../cells/rnn.js';
import type { JsonRecord } from '../interop/json.js';
import { recurrent } from '../model/recurrent.js';
import { headNamed } from './heads.js';
import type { System } from './system.js';

function cellOf({ mode, nonlinearity }: JsonRecord): Cell | undefined {
  if (mode === 'rnn') return nonlinearity === 'relu' ? rnnRelu : rnn;
  return { lstm, gru }[String(mode)];
}

export const torchRnn: System = {
  unsupported: ({ config }) => (cellOf(config) ? null : `there is no cell '${config.mode}'`),
  build(on, { config }, { params, data }) {
    const { X, target, w, mask } = data;
    const states = Object.keys(data).filter((name) => /^[a-z]0$/.test(name));
    const { output, state } = recurrent(
      on,
      {
        cell: cellOf(config)!,
        input: Number(config.input_size),
        hidden: Number(config.hidden_size),
        layers: Number(config.num_layers),
        bidirectional: config.bidirectional === true,
        projection: Number(config.proj_size ?? 0),
      },
      {
        x: X!,
        state: Object.fromEntries(states.map((name) => [name.slice(0, -1), data[name]!])),
        parameter: (name) => params[name]!,
        mask,
      },
    );
    const y = params.W_y ? on.add(on.linear(output, params.W_y), params.b_y!) : null;
    const read = y ?? output;
    return {
      output: read,
      loss: headNamed(config.head)(on, read, target!, w!),
      activations: { output, ...(y ? { y } : {}) },
      finalState: Object.fromEntries(Object.entries(state).map(([name, value]) => [`${name}_n`, value])),
      carried: Object.fromEntries(Object.keys(state).map((name) => [`${name}0`, `${name}_n`])),
    };
  },
};
