/** The worker: calls of an `Engine`, by message. */
import { Engine } from "./engine.js";

const engine = new Engine();
const scope = self as unknown as {
  onmessage: (event: MessageEvent<[number, keyof Engine, unknown[]]>) => void;
  postMessage(message: unknown, transfer: Transferable[]): void;
};

/** Buffers that nobody here holds on to. */
function buffers(value: unknown): Transferable[] {
  if (ArrayBuffer.isView(value)) return [value.buffer as ArrayBuffer];
  if (Array.isArray(value)) return value.flatMap(buffers);
  return [];
}

let before: Promise<unknown> = Promise.resolve();
scope.onmessage = ({ data: [id, name, args] }) => {
  const call = async (): Promise<void> => {
    try {
      const result: unknown = await (engine[name] as (...args: unknown[]) => unknown)(...args);
      scope.postMessage([id, result], name === "read" || name === "wave" ? buffers(result) : []);
    } catch (error) {
      scope.postMessage([id, undefined, String((error as Error).message)], []);
    }
  };
  before = before.then(call); // one at a time: loading answers later
};
