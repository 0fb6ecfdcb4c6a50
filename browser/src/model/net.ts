/** The causal net over frames that encoder and decoder share in kind. */
import { type Address, type Kernels, type Linear } from "./kernels.js";
import type { Weights } from "./weights.js";

/** Frames that go through at once, at most. */
export const MOST_ROWS = 76;

interface Block {
  taps: Address;
  scale: Address;
  weight: Address;
  bias: Address;
  expand: Linear;
  reduce: Linear;
}

export interface Shape {
  inputs: number;
  width: number;
  depth: number;
  outputs: number;
  expansion: number;
  kernel: number;
}

/** Past frames of each block: a stream begins with zeros. */
export type Past = Float32Array[];

export class FrameNet {
  readonly output: Linear;
  private readonly input: Linear;
  private readonly blocks: Block[];
  private readonly norm: [Address, Address];
  private readonly joined: Address;
  private readonly hidden: Address;
  private readonly between: Address;
  private readonly past: number;

  constructor(
    private readonly kernels: Kernels,
    weights: Weights,
    name: string,
    private readonly shape: Shape,
    scratch: Address,
  ) {
    const { inputs, width, depth, outputs, expansion, kernel } = shape;
    const vector = (part: string): Address => weights.get(`${name}.${part}`, [width]);
    this.input = weights.linear(`${name}.input`, inputs, width, scratch);
    this.blocks = Array.from({ length: depth }, (_, i) => ({
      taps: weights.get(`${name}.blocks.${i}.taps`, [kernel, width]),
      scale: vector(`blocks.${i}.scale`),
      weight: vector(`blocks.${i}.norm.weight`),
      bias: vector(`blocks.${i}.norm.bias`),
      expand: weights.linear(`${name}.blocks.${i}.expand`, width, expansion * width, scratch),
      reduce: weights.linear(`${name}.blocks.${i}.reduce`, expansion * width, width, scratch),
    }));
    this.norm = [vector("norm.weight"), vector("norm.bias")];
    this.output = weights.linear(`${name}.output`, width, outputs, scratch);
    this.past = (kernel - 1) * width;
    this.joined = kernels.reserve(this.past + MOST_ROWS * width);
    this.between = kernels.reserve(MOST_ROWS * width);
    this.hidden = kernels.reserve(MOST_ROWS * width * expansion);
  }

  start(): Past {
    return this.blocks.map(() => new Float32Array(this.past));
  }

  /** Maps `rows` rows of inputs to rows of outputs; `past` goes on. */
  step(x: Address, y: Address, rows: number, past: Past): void {
    const { kernels, joined, between, hidden, norm, blocks } = this;
    const { width, expansion, kernel } = this.shape;
    const { run } = kernels;
    const here = joined + 4 * this.past;
    this.input.apply(x, here, rows);
    for (const [i, block] of blocks.entries()) {
      kernels.view(joined, this.past).set(past[i]!);
      run.convolve(joined, block.taps, between, rows, width, kernel);
      run.normalise(between, between, block.weight, block.bias, rows, width, 1e-5);
      block.expand.apply(between, hidden, rows);
      run.gelu(hidden, rows * width * expansion);
      block.reduce.apply(hidden, between, rows);
      past[i]!.set(kernels.view(joined + 4 * rows * width, this.past));
      run.addScaled(here, between, block.scale, rows, width);
    }
    run.normalise(here, between, norm[0], norm[1], rows, width, 1e-5);
    this.output.apply(between, y, rows);
  }
}
