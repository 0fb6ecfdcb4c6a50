/** The tensors of a model file, brought into the kernels' memory when they are asked for. */
import { BadFileError } from "../format/errors.js";
import { type Address, type Kernels, Linear } from "./kernels.js";

/** Sizes of a model of the `spectral` family, as `ncodec` has them. */
export interface SpectralConfig {
  sample_rate: number;
  hop: number;
  codebooks: number;
  cardinality: number;
  latent: number;
  bands: number;
  encoder_width: number;
  encoder_depth: number;
  decoder_width: number;
  decoder_depth: number;
  expansion: number;
  kernel: number;
}

/** What a model file does not say of itself. */
export interface About {
  name: string;
  /** SHA-256 over configuration and weights, in hexadecimal: files name it. */
  fingerprint: string;
  config: SpectralConfig;
}

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

export class Weights {
  private readonly entries: Record<string, Entry>;
  private readonly begin: number;

  /** Takes the bytes of a safetensors file with float16 or float32 tensors. */
  constructor(
    private readonly kernels: Kernels,
    private readonly data: Uint8Array,
  ) {
    if (data.length < 8) throw new BadFileError("the model is not a safetensors file");
    const size = new DataView(data.buffer, data.byteOffset, 8).getUint32(0, true);
    this.begin = 8 + size;
    try {
      this.entries = JSON.parse(new TextDecoder().decode(data.subarray(8, this.begin))) as Record<
        string, Entry
      >;
    } catch {
      throw new BadFileError("the model is not a safetensors file");
    }
  }

  /** Puts a tensor into `target`, or into memory of its own; checks its shape. */
  get(name: string, shape: readonly number[], target?: Address): Address {
    const entry = this.entries[name];
    if (!entry || entry.shape.join() !== shape.join()) {
      throw new BadFileError(`the model has no tensor ${name} of shape [${shape.join(", ")}]`);
    }
    const count = shape.reduce((product, size) => product * size, 1);
    const [from, to] = entry.data_offsets;
    const bytes = this.data.subarray(this.begin + from, this.begin + to);
    const at = target ?? this.kernels.reserve(count);
    const { memory, widen } = this.kernels.run;
    if (entry.dtype === "F32") new Uint8Array(memory.buffer).set(bytes, at);
    else if (entry.dtype === "F16") {
      const last = at + 2 * count; // widened from the front, values never overtake their sources
      new Uint8Array(memory.buffer).set(bytes, last);
      widen(last, at, count);
    } else throw new BadFileError(`tensor ${name} is of type ${entry.dtype}`);
    return at;
  }

  /** A layer that computes with `name.weight` and `name.bias`; `scratch` holds the weights meanwhile. */
  linear(name: string, inputs: number, outputs: number, scratch: Address): Linear {
    const weight = this.get(`${name}.weight`, [outputs, inputs], scratch);
    const bias = this.get(`${name}.bias`, [outputs]);
    return new Linear(this.kernels, weight, inputs, outputs, bias);
  }
}
