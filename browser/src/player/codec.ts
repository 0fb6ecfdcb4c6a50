/** The page's side of the worker. */
import script from "script:./worker.ts";
import type { Engine, ModelSource } from "./engine.js";

type Methods = { [K in keyof Engine as Engine[K] extends (...args: never[]) => unknown ? K : never]: Engine[K] };
type Result<K extends keyof Methods> = Awaited<ReturnType<Methods[K]>>;

/** Calls an `Engine` that runs in a worker, so that the page never waits. */
export class Codec {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, [(value: never) => void, (error: Error) => void]>();
  private calls = 0;
  /** Settles when the model is ready. */
  readonly ready: Promise<void>;

  constructor(source: ModelSource) {
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    this.worker = new Worker(url);
    this.worker.onmessage = ({ data }: MessageEvent<[number, unknown, string?]>) => {
      const [id, value, error] = data;
      const [resolve, reject] = this.waiting.get(id)!;
      this.waiting.delete(id);
      if (error === undefined) resolve(value as never);
      else reject(new Error(error));
    };
    this.ready = this.call("load", source);
    this.ready.finally(() => URL.revokeObjectURL(url)).catch(() => undefined);
  }

  call<K extends keyof Methods>(name: K, ...args: Parameters<Methods[K]>): Promise<Result<K>> {
    const id = ++this.calls;
    return new Promise<Result<K>>((resolve, reject) => {
      this.waiting.set(id, [resolve, reject]);
      this.worker.postMessage([id, name, args]);
    });
  }
}
