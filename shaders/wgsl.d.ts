/** A `.wgsl` file imports as its text; the bundler and the test runner inline it. */
declare module '*.wgsl' {
  const source: string;
  export default source;
}
