/** Physical volumes as LVM2 writes them, made from its format apart from the code under test. */

/** What a physical volume is made with. */
export interface PhysicalShape {
  /** 32 characters. */
  readonly uuid: string;
  /** Text of each metadata area; "" for one without. */
  readonly texts: readonly string[];
  /** Sector of the label. @default 1 */
  readonly labelSector?: number;
  /** Bytes of the ring behind the header that texts begin at. @default 512 */
  readonly textAt?: number;
  /** Flags of the committed text's place: 1 is "ignored". @default 0 */
  readonly flags?: number;
  /** Bytes. @default 65536 */
  readonly size?: number;
}

/** Bytes of a metadata area in these images. */
export const AREA = 8192;
/** Where the first one begins; others follow. */
export const FIRST_AREA = 4096;

/** LVM's checksum, bit by bit. */
export function slowChecksum(bytes: Uint8Array): number {
  let crc = 0xf597a6cf;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return crc >>> 0;
}

/** Makes the image of a physical volume. */
export function physicalVolume(shape: PhysicalShape): Uint8Array {
  const { uuid, texts, labelSector = 1, size = 65_536 } = shape;
  const bytes = Buffer.alloc(size);
  const label = labelSector * 512;
  bytes.write("LABELONE", label);
  bytes.writeBigUInt64LE(BigInt(labelSector), label + 8);
  bytes.writeUInt32LE(32, label + 20);
  bytes.write("LVM2 001", label + 24);
  bytes.write(uuid, label + 32);
  bytes.writeBigUInt64LE(BigInt(size), label + 64);
  let at = label + 72;
  const areas: (readonly [number, number])[] = [
    [FIRST_AREA + AREA * texts.length, 0],
    [0, 0],
    ...texts.map((_, index) => [FIRST_AREA + AREA * index, AREA] as const),
    [0, 0],
  ];
  for (const [offset, length] of areas) {
    bytes.writeBigUInt64LE(BigInt(offset), at);
    bytes.writeBigUInt64LE(BigInt(length), at + 8);
    at += 16;
  }
  for (const [index, text] of texts.entries())
    writeArea(bytes, { ...shape, offset: FIRST_AREA + AREA * index, text });
  sealLabel(bytes, label);
  return bytes;
}

/** Makes the checksum of a label right. */
export function sealLabel(bytes: Uint8Array, label: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(label + 16, slowChecksum(bytes.subarray(label + 20, label + 512)), true);
}

/** Makes the checksum of an area's header right. */
export function sealArea(bytes: Uint8Array, offset: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(offset, slowChecksum(bytes.subarray(offset + 4, offset + 512)), true);
}

function writeArea(
  bytes: Buffer,
  area: Pick<PhysicalShape, "textAt" | "flags"> & {
    readonly offset: number;
    readonly text: string;
  },
): void {
  const { offset, text, textAt = 512, flags = 0 } = area;
  bytes.write(" LVM2 x[5A%r0N*>", offset + 4, "latin1");
  bytes.writeUInt32LE(1, offset + 20);
  bytes.writeBigUInt64LE(BigInt(offset), offset + 24);
  bytes.writeBigUInt64LE(BigInt(AREA), offset + 32);
  const data = Buffer.from(`${text}\0`, "latin1");
  if (text !== "") {
    bytes.writeBigUInt64LE(BigInt(textAt), offset + 40);
    bytes.writeBigUInt64LE(BigInt(data.length), offset + 48);
    bytes.writeUInt32LE(slowChecksum(data), offset + 56);
    bytes.writeUInt32LE(flags, offset + 60);
    for (const [index, byte] of data.entries()) {
      const inRing = textAt + index;
      bytes[offset + (inRing < AREA ? inRing : inRing - AREA + 512)] = byte;
    }
  }
  sealArea(bytes, offset);
}

/** UUID number n: as the label has it, and as texts have it. */
export function uuidOf(n: number): { readonly plain: string; readonly text: string } {
  const plain = String.fromCharCode(97 + n).repeat(32);
  const parts = [6, 10, 14, 18, 22, 26, 32].map((end, at, ends) =>
    plain.slice(ends[at - 1] ?? 0, end),
  );
  return { plain, text: parts.join("-") };
}

/** A group of some physical volumes of 20 extents of 8 sectors, from sector 64 on; `volumes` is what stands in logical_volumes. */
export function groupText(
  volumes: string,
  options: {
    readonly seqno?: number;
    readonly count?: number;
    readonly flags?: readonly string[];
  } = {},
): string {
  const { seqno = 1, count = 3, flags = [] } = options;
  const parts = Array.from(
    { length: count },
    (_, n) =>
      `pv${n} {\nid = "${uuidOf(n).text}"\ndevice = "/dev/sd${n}" # hint\nstatus = ["ALLOCATABLE"]\nflags = [${flags[n] ?? ""}]\ndev_size = 224\npe_start = 64\npe_count = 20\n}\n`,
  );
  return `vg {\nid = "group"\nseqno = ${seqno}\nstatus = ["READ", "WRITE"]\nextent_size = 8\nphysical_volumes {\n${parts.join("")}}\nlogical_volumes {\n${volumes}}\n}\ncontents = "Text Format Volume Group"\nversion = 1\n`;
}

/** A logical volume with segments; what stands in each is given. */
export function logicalVolume(
  name: string,
  segments: readonly string[],
  status = '"READ", "WRITE", "VISIBLE"',
): string {
  const list = segments.map((text, index) => `segment${index + 1} {\n${text}\n}\n`);
  return `${name} {\nid = "x"\nstatus = [${status}]\nflags = []\nsegment_count = ${segments.length}\n${list.join("")}}\n`;
}

/** A striped segment: `places` as ["pv0", 3]. */
export function stripes(
  start: number,
  count: number,
  places: readonly (readonly [string, number])[],
): string {
  const list = places.map(([name, extent]) => `"${name}", ${extent}`).join(", ");
  const size = places.length > 1 ? "stripe_size = 4\n" : "";
  return `start_extent = ${start}\nextent_count = ${count}\ntype = "striped"\nstripe_count = ${places.length}\n${size}stripes = [${list}]`;
}
