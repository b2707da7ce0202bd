/**
 * dax: direct access: iomap reads and writes, recovery read and recovery write, zeroing, memory failure.
 *
 * Promises the results of Linux' fs/dax.c and drivers/dax (kernel 7.1) for calls without the flag, except where R1 and R4 forbid them
 * (docs/linux.md). Stands on base, device and mapper.
 */
export { ExtentTable, type ExtentKind, type FileExtent } from "./extent-table.ts";
