/** The worker: calls of an `Engine`, by message. */
import { Engine } from "./engine.js";

const engine = new Engine();
const scope = self as unknown as {
  onmessage: (event: MessageEvent<[number, keyof Engine, unknown[]]>) => void;
  postMessage(message: unknown, transfer: Transferable[]): void;
};

/** Calls whose results nobody here holds on to. */
const GIVEN: ReadonlySet<keyof Engine> = new Set(["read", "wave", "turn"]);

/** The buffers of a result. */
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
      scope.postMessage([id, result], GIVEN.has(name) ? buffers(result) : []);
    } catch (error) {
      scope.postMessage([id, undefined, String((error as Error).message)], []);
    }
  };
  before = before.then(call); // one at a time: loading answers later
};
