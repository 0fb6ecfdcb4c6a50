/** Adds a worklet's module: a page from disk may not load it from a Blob, but from a data address. */
export async function addWorklet(context: AudioContext, script: string): Promise<void> {
  await context.audioWorklet.addModule(`data:text/javascript,${encodeURIComponent(script)}`);
}
