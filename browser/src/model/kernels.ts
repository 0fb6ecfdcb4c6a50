/** The kernels' module, its memory, and layers that lie there. */
import wasm from "../../kernels/kernels.wasm";

/** A place in the module's memory, in bytes. */
export type Address = number;

interface Exports {
  memory: WebAssembly.Memory;
  reserve(bytes: number): Address;
  widen(source: Address, target: Address, count: number): void;
  pack(source: Address, target: Address, n: number, k: number): void;
  multiply(
    x: Address, w: Address, b: Address, y: Address, rows: number, k: number, blocks: number,
  ): void;
  convolve(
    x: Address, taps: Address, y: Address, rows: number, width: number, kernel: number,
  ): void;
  normalise(
    x: Address, y: Address, weight: Address, bias: Address, rows: number, width: number,
    epsilon: number,
  ): void;
  gelu(x: Address, count: number): void;
  addScaled(x: Address, y: Address, scale: Address, rows: number, width: number): void;
  turns(target: Address, n: number): void;
  mdct(target: Address, hop: number, turned: number): void;
  hann(target: Address, size: number, scale: number): void;
  erbMeans(target: Address, bins: number, bands: number, sampleRate: number): void;
  power(
    frame: Address, window: Address, target: Address, x: Address, y: Address, twiddles: Address,
    size: number,
  ): void;
  logs(source: Address, target: Address, count: number, offset: number, scale: number): void;
  compand(source: Address, target: Address, count: number, scale: number): void;
  expand(a: Address, b: Address, target: Address, count: number): void;
  polar(
    a: Address, b: Address, phases: Address, window: Address, target: Address, x: Address,
    y: Address, twiddles: Address, size: number,
  ): void;
  add(target: Address, source: Address, count: number): void;
  halves(source: Address, target: Address, rows: number, width: number): void;
  largest(x: Address, count: number): number;
  subtract(x: Address, y: Address, count: number): void;
}

/** One instance of the kernels. Views of its memory are made anew: growing it detaches them. */
export class Kernels {
  private constructor(readonly run: Exports) {}

  static async make(): Promise<Kernels> {
    const { instance } = await WebAssembly.instantiate(wasm, {});
    return new Kernels(instance.exports as unknown as Exports);
  }

  /** Takes memory for so many float32 values, zeroed and for good. */
  reserve(values: number): Address {
    return this.run.reserve(4 * values);
  }

  view(at: Address, values: number): Float32Array {
    return new Float32Array(this.run.memory.buffer, at, values);
  }

  copy(from: Address, to: Address, values: number): void {
    new Uint8Array(this.run.memory.buffer).copyWithin(to, from, from + 4 * values);
  }
}

/** An affine map of rows, `inputs` values to `outputs`; rows of results are `stride` apart. */
export class Linear {
  readonly stride: number;
  private readonly blocks: number;
  private readonly weight: Address;
  private readonly bias: Address;

  /** Packs weights [outputs, inputs]; `bias` may be left out. */
  constructor(
    private readonly kernels: Kernels,
    weight: Address,
    readonly inputs: number,
    readonly outputs: number,
    bias?: Address,
  ) {
    this.blocks = Math.ceil(outputs / 8);
    this.stride = 8 * this.blocks;
    this.weight = kernels.reserve(this.stride * inputs);
    kernels.run.pack(weight, this.weight, outputs, inputs);
    this.bias = kernels.reserve(this.stride);
    if (bias !== undefined) kernels.copy(bias, this.bias, outputs);
  }

  apply(x: Address, y: Address, rows: number): void {
    const { weight, bias, inputs, blocks } = this;
    this.kernels.run.multiply(x, weight, bias, y, rows, inputs, blocks);
  }
}
