/**
 * native: the few C library calls that Node does not offer, through koffi, loaded when one is first needed.
 *
 * koffi takes some 15 ms to load, so nothing here runs at start-up. Where it cannot load (no prebuilt binary, or
 * `THERIAC_NATIVE=off`) `native()` is `undefined`, and every caller has a plainer way: a lock file for flock(2),
 * pread for mmap(2), a whole copy for SEEK_HOLE.
 */
import { createRequire } from "node:module";

/** The C calls, as the manual pages have them; a negative result sets `errno()`. */
export interface Native {
  flock(fd: number, operation: number): number;
  lseek(fd: number, offset: number, whence: number): number | bigint;
  dup(fd: number): number;
  posixFadvise(
    fd: number,
    range: { readonly offset: number; readonly length: number },
    advice: number,
  ): number;
  /** Maps a range of a file; the address, or `undefined` with `errno()` set. */
  mmap(
    fd: number,
    range: { readonly offset: number; readonly length: number },
    writable: boolean,
  ): bigint | undefined;
  munmap(address: bigint, length: number): number;
  /** Gives advice about mapped memory, in the thread pool. */
  madvise(
    address: bigint,
    range: { readonly offset: number; readonly length: number },
    advice: number,
  ): Promise<number>;
  /** Begins to write out what the page cache holds of a range; waits for nothing. */
  startWriteBack(fd: number, range: { readonly offset: number; readonly length: number }): number;
  /** The memory at an address as an ArrayBuffer without a copy; make it once for each address. */
  view(address: bigint, length: number): ArrayBuffer;
  /** ioctl(2) with a buffer that the kernel reads and fills. */
  ioctl(fd: number, request: number, buffer: Uint8Array): number;
  fcntl(fd: number, command: number, value: number): number;
  /** futimens(2): two `timespec`s, of access and change. */
  futimens(fd: number, times: Uint8Array): number;
  errno(): number;
}

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const SYNC_FILE_RANGE_WRITE = 2;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

type Call = (...values: unknown[]) => unknown;

let loaded: Native | undefined | null = null;

/** The C calls, or `undefined` where koffi cannot load. */
export function native(): Native | undefined {
  if (loaded === null) loaded = load();
  return loaded;
}

function load(): Native | undefined {
  if (process.env["THERIAC_NATIVE"] === "off" || process.platform === "win32") return undefined;
  try {
    return bind(createRequire(import.meta.url)("koffi") as typeof import("koffi"));
  } catch {
    return undefined;
  }
}

function bind(koffi: typeof import("koffi")): Native {
  const library = koffi.load(null);
  const call = (definition: string): Call => library.func(definition) as Call;
  const flock = call("int flock(int, int)");
  const lseek = call("int64_t lseek(int, int64_t, int)");
  const dup = call("int dup(int)");
  const mmap = call("uintptr_t mmap(uintptr_t, size_t, int, int, int, int64_t)");
  const munmap = call("int munmap(uintptr_t, size_t)");
  let fadvise: Call | undefined;
  let syncRange: Call | undefined;
  let madvise: ReturnType<typeof library.func> | undefined;
  let ioctl: Call | undefined;
  let fcntl: Call | undefined;
  let futimens: Call | undefined;
  return {
    flock: (fd, operation) => flock(fd, operation) as number,
    lseek: (fd, offset, whence) => lseek(fd, offset, whence) as number | bigint,
    dup: (fd) => dup(fd) as number,
    posixFadvise: (fd, range, advice) => {
      fadvise ??= call("int posix_fadvise(int, int64_t, int64_t, int)");
      return fadvise(fd, range.offset, range.length, advice) as number;
    },
    mmap: (fd, range, writable) => {
      const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
      const address = BigInt(
        mmap(0, range.length, protection, MAP_SHARED, fd, range.offset) as number | bigint,
      );
      return address === MAP_FAILED || address === -1n ? undefined : address;
    },
    munmap: (address, length) => munmap(address, length) as number,
    madvise: (address, range, advice) => {
      madvise ??= library.func("int madvise(uintptr_t, size_t, int)");
      const at = address + BigInt(range.offset);
      return new Promise((resolve) => {
        madvise?.async(at, range.length, advice, (error: unknown, result: unknown) =>
          resolve(error === null ? (result as number) : -1),
        );
      });
    },
    startWriteBack: (fd, range) => {
      // Only Linux has it; elsewhere the sync at the end does all of it.
      if (process.platform !== "linux") return 0;
      syncRange ??= call("int sync_file_range(int, int64_t, int64_t, unsigned int)");
      return syncRange(fd, range.offset, range.length, SYNC_FILE_RANGE_WRITE) as number;
    },
    view: (address, length) => koffi.view(address, length),
    ioctl: (fd, request, buffer) => {
      ioctl ??= call("int ioctl(int, unsigned long, void *)");
      return ioctl(fd, request, buffer) as number;
    },
    fcntl: (fd, command, value) => {
      fcntl ??= call("int fcntl(int, int, long)");
      return fcntl(fd, command, value) as number;
    },
    futimens: (fd, times) => {
      futimens ??= call("int futimens(int, void *)");
      return futimens(fd, times) as number;
    },
    errno: () => koffi.errno(),
  };
}
