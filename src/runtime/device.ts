/** Where graphs can run; the runtime's name for it in its list of execution providers. */
export const devices = ["cpu", "cuda", "webgpu", "coreml", "dml"] as const;
export type Device = (typeof devices)[number];
