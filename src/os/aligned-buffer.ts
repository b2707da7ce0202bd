/** aligned-buffer: memory that begins at a page, as O_DIRECT wants it; Node's own buffers begin 16 bytes off. */

/** Bytes of a page of WebAssembly memory. */
const WASM_PAGE = 65_536;

/** The part of WebAssembly's interface that is used here; Node's types do not declare it. */
interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

type WasmMemoryConstructor = new (limits: {
  readonly initial: number;
  readonly maximum: number;
}) => WasmMemory;

/**
 * Makes zeroed memory whose address is a multiple of the page size. It cannot be given back before it is collected: make few.
 *
 * @param length bytes, from 1 to 4 GiB less a page
 * @throws {RangeError} if the length is out of range or the memory is not to be had
 */
export function alignedBuffer(length: number): Uint8Array {
  if (!Number.isSafeInteger(length) || length < 1 || length > 65_535 * WASM_PAGE) {
    throw new RangeError(
      `Cannot make buffer: want 1 to ${65_535 * WASM_PAGE} bytes: got ${length}`,
    );
  }
  const pages = Math.ceil(length / WASM_PAGE);
  const { Memory } = (
    globalThis as unknown as { readonly WebAssembly: { readonly Memory: WasmMemoryConstructor } }
  ).WebAssembly;
  return new Uint8Array(new Memory({ initial: pages, maximum: pages }).buffer, 0, length);
}
