/** Memory lines: machine checks, firmware's error records, EDAC, given-up pages, persistent memory: physical addresses. */
import { PAGE } from "../../base/index.ts";
import { blockRange, type LinePattern } from "./kernel-line.ts";

/** Bytes of a cache line: what one machine check speaks of where it says no more. */
const CACHE_LINE = 64;

/** action_result(), mm/memory-failure.c; before 4.9 the line began with "MCE". The number is a page's. */
const MEMORY_FAILURE: LinePattern = {
  pattern: /^(?:Memory failure|MCE|Soft offlin(?:e|ing)): (?:pfn )?(0x[0-9a-f]{1,14}): (.{1,200})/,
  read([, page, status = ""]) {
    return {
      kind: "memory",
      status,
      cause: "media",
      range: blockRange(Number(page), 1, PAGE),
      space: "physical",
      precision: "within",
    };
  },
};

const MCE_PAGE: LinePattern = {
  pattern: /^MCE (0x[0-9a-f]{1,14}): (.{1,200})/,
  read: (match, context) => MEMORY_FAILURE.read(match, context),
};

/** __print_mce(), arch/x86/kernel/cpu/mce/core.c, and the drivers that print the same record. */
const MCE_ADDRESS: LinePattern = {
  pattern:
    /^(?:mce: )?(?:\[Hardware Error\]: |EDAC [\w# ]{1,24}: )(?:TSC [0-9a-f]{1,16} )?ADDR:? (?:0x)?([0-9a-f]{1,16})\b/,
  read([, address = ""]) {
    return {
      kind: "memory",
      status: "machine check",
      cause: "media",
      range: blockRange(Number.parseInt(address, 16), CACHE_LINE, 1),
      space: "physical",
      precision: "within",
    };
  },
};

/** cper_print_mem(), drivers/firmware/efi/cper.c; the number in braces counts the records. */
const FIRMWARE_ADDRESS: LinePattern = {
  pattern: /^(?:\{\d{1,10}\})?\[Hardware Error\]: {1,12}physical[_ ]address: (0x[0-9a-f]{1,16})/,
  read([, address]) {
    return {
      kind: "memory",
      status: "hardware error record",
      cause: "media",
      range: blockRange(Number(address), CACHE_LINE, 1),
      space: "physical",
      precision: "within",
    };
  },
};

/** edac_ce_error() and edac_ue_error(), drivers/edac/edac_mc.c: CE was corrected; page 0 and offset 0 mean that nobody knows. */
const EDAC: LinePattern = {
  pattern:
    /^EDAC MC\d{1,4}: \d{1,9} (CE|UE) (.{1,200}?) \(.{0,80}?page:(0x[0-9a-f]{1,14}) offset:(0x[0-9a-f]{1,8}) grain:(\d{1,9})/,
  read([, type, status = "", page, offset, grain]) {
    const address = Number(page) * PAGE + Number(offset);
    return {
      kind: "memory",
      status: `${type} ${status}`,
      cause: type === "CE" ? "corrected" : "media",
      range: address === 0 ? undefined : blockRange(address, Math.max(1, Number(grain)), 1),
      space: "physical",
      precision: "within",
    };
  },
};

/** trace_cxl_poison, drivers/cxl/core/trace.h: the device's own address. */
const CXL: LinePattern = {
  pattern:
    /^(?:\S{1,64} )?cxl_poison: memdev=([\w.-]{1,64}) .{0,400}?\bdpa=(0x[0-9a-f]{1,16}) dpa_length=(0x[0-9a-f]{1,16})/,
  read([, device, address, length]) {
    return {
      kind: "pmem",
      device,
      status: "poison",
      cause: "media",
      range: blockRange(Number(address), Number(length), 1),
      precision: "exact",
    };
  },
};

/** nd_pmem, nfit and their kin: they name a namespace or region, seldom a place. */
const PMEM: LinePattern = {
  pattern:
    /^(?:nd_pmem|nd_region|nd_btt|nfit|dax_pmem|cxl_mem|cxl_pci) ([\w.:-]{1,64}): (.{0,200}?(?:[Ee]rror|[Ff]ail|[Pp]oison|uncorrectable).{0,200})/,
  read([, device, status = ""]) {
    return { kind: "pmem", device, status, cause: "unknown" };
  },
};

/** Lines about memory, volatile and persistent. */
export const MEMORY_LINES: readonly LinePattern[] = [
  MEMORY_FAILURE,
  MCE_PAGE,
  MCE_ADDRESS,
  FIRMWARE_ADDRESS,
  EDAC,
  CXL,
  PMEM,
];
