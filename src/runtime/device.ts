/** Where graphs can run; the runtime's name for it in its list of execution providers. */
export const devices = ["cpu", "cuda", "webgpu", "coreml", "dml"] as const;
export type Device = (typeof devices)[number];

/**
 * Devices that compute a norm in one with the sum it reads (com.microsoft SkipLayerNormalization and
 * SkipSimplifiedLayerNormalization). For the others the runtime would copy the hidden states to the CPU and back.
 * @see ONNX Runtime's docs/OperatorKernels.md for the CPU, CUDA and DirectML, contrib_ops/webgpu/webgpu_contrib_kernels.cc
 *   for WebGPU; CoreML's provider takes operators of the standard alone
 */
export const fusesNorms: Readonly<Record<Device, boolean>> = {
  cpu: true,
  cuda: true,
  webgpu: true,
  coreml: false,
  dml: true,
};
