declare module "*.wasm" {
  const bytes: Uint8Array<ArrayBuffer>;
  export default bytes;
}
declare module "*.css" {
  const text: string;
  export default text;
}
/** Script texts that the build makes of the module of that name. */
declare module "script:*" {
  const text: string;
  export default text;
}
