/** Members of md arrays as md writes them, made from its formats apart from the code under test. */

/** What a member is made with; sectors. */
export interface MemberShape {
  readonly version: "0.90" | "1.0" | "1.1" | "1.2";
  readonly level: number;
  readonly raidDisks: number;
  /** Number of this member, which is its slot unless `roles` says otherwise. */
  readonly number: number;
  /** Role of each number: a slot, 0xffff spare, 0xfffe faulty. @default each its slot */
  readonly roles?: readonly number[];
  /** @default 10 */
  readonly events?: number;
  /** @default 0 */
  readonly layout?: number;
  /** Sectors. @default 8 */
  readonly chunk?: number;
  /** Sectors of each member that are used. @default 64 */
  readonly component?: number;
  /** @default 16 */
  readonly dataOffset?: number;
  /** @default component */
  readonly dataSectors?: number;
  /** @default none: all in sync */
  readonly resyncOffset?: number;
  /** @default none: all rebuilt */
  readonly recoveryOffset?: number;
  /** More bits of the feature map. @default 0 */
  readonly features?: number;
  /** Byte that fills the UUID. @default 0x11 */
  readonly uuid?: number;
  /** Bad blocks: sector of the device and count. @default none, and no list */
  readonly badBlocks?: readonly (readonly [number, number])[];
  /** Bytes of a bitmap, its chunk in sectors, and its events. @default none */
  readonly bitmap?: {
    readonly bits: readonly number[];
    readonly chunk: number;
    readonly events: number;
  };
  /** Bytes of the device. @default 131072 */
  readonly size?: number;
}

/** Where a superblock stands. Bytes. */
export function superblockAt(version: MemberShape["version"], size: number): number {
  if (version === "1.1") return 0;
  if (version === "1.2") return 4096;
  if (version === "1.0") return Math.floor((size / 512 - 16) / 8) * 8 * 512;
  return Math.floor(size / 65_536 - 1) * 65_536;
}

/** Makes the image of a member. */
export function mdMember(shape: MemberShape): Uint8Array {
  const { version, size = 131_072 } = shape;
  const bytes = Buffer.alloc(size);
  const at = superblockAt(version, size);
  if (version === "0.90") writeOld(bytes.subarray(at, at + 4096), shape);
  else writeNew(bytes, at, shape);
  return bytes;
}

/** Makes the checksum of a superblock right. */
export function sealSuperblock(bytes: Uint8Array, at: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  const isOld = view.getUint32(4, true) === 0;
  const [length, place] = isOld ? [4096, 152] : [256 + 2 * view.getUint32(220, true), 216];
  view.setUint32(place, 0, true);
  let sum = 0n;
  for (let word = 0; word + 4 <= length; word += 4) sum += BigInt(view.getUint32(word, true));
  if (length % 4 === 2) sum += BigInt(view.getUint16(length - 2, true));
  view.setUint32(place, Number((sum & 0xffff_ffffn) + (sum >> 32n)) >>> 0, true);
}

function rolesOf({ roles, raidDisks }: MemberShape): readonly number[] {
  return roles ?? Array.from({ length: raidDisks }, (_, slot) => slot);
}

function writeNew(bytes: Buffer, at: number, shape: MemberShape): void {
  const { component = 64, dataOffset = 16 } = shape;
  const sb = bytes.subarray(at);
  const roles = rolesOf(shape);
  let features = shape.features ?? 0;
  sb.writeUInt32LE(0xa92b4efc, 0);
  sb.writeUInt32LE(1, 4);
  sb.fill(shape.uuid ?? 0x11, 16, 32);
  sb.write("lab:name", 32);
  sb.writeBigUInt64LE(1000n, 64);
  sb.writeInt32LE(shape.level, 72);
  sb.writeUInt32LE(shape.layout ?? 0, 76);
  sb.writeBigUInt64LE(BigInt(component), 80);
  sb.writeUInt32LE(shape.chunk ?? 8, 88);
  sb.writeUInt32LE(shape.raidDisks, 92);
  sb.writeBigUInt64LE(BigInt(dataOffset), 128);
  sb.writeBigUInt64LE(BigInt(shape.dataSectors ?? component), 136);
  sb.writeBigUInt64LE(BigInt(at / 512), 144);
  if (shape.recoveryOffset !== undefined) {
    features |= 2;
    sb.writeBigUInt64LE(BigInt(shape.recoveryOffset), 152);
  }
  sb.writeUInt32LE(shape.number, 160);
  features |= writeLists(bytes, at, shape);
  sb.writeUInt32LE(features, 8);
  sb.writeBigUInt64LE(BigInt(shape.events ?? 10), 200);
  sb.writeBigUInt64LE(BigInt.asUintN(64, BigInt(shape.resyncOffset ?? -1)), 208);
  sb.writeUInt32LE(roles.length, 220);
  for (const [index, role] of roles.entries()) sb.writeUInt16LE(role, 256 + 2 * index);
  sealSuperblock(bytes, at);
}

/** Writes the lists of bad blocks and of writes, and gives the features that say so. */
function writeLists(bytes: Buffer, at: number, shape: MemberShape): number {
  const { component = 64, badBlocks, bitmap } = shape;
  const sb = bytes.subarray(at);
  let features = 0;
  if (badBlocks !== undefined) {
    features |= 8;
    sb.writeUInt16LE(1, 186);
    sb.writeInt32LE(3, 188);
    const list = bytes.subarray(at + 3 * 512, at + 4 * 512).fill(0xff);
    for (const [index, [sector, count]] of badBlocks.entries())
      list.writeBigUInt64LE((BigInt(sector) << 10n) | BigInt(count), 8 * index);
  }
  if (bitmap !== undefined) {
    features |= 1;
    sb.writeInt32LE(2, 96);
    const map = bytes.subarray(at + 2 * 512);
    map.write("bitm");
    map.writeUInt32LE(4, 4);
    map.fill(shape.uuid ?? 0x11, 8, 24);
    map.writeBigUInt64LE(BigInt(bitmap.events), 24);
    map.writeBigUInt64LE(BigInt(component), 40);
    map.writeUInt32LE(bitmap.chunk * 512, 52);
    map.set(bitmap.bits, 256);
  }
  return features;
}

function writeOld(sb: Buffer, shape: MemberShape): void {
  const word = (index: number, value: number): void => {
    sb.writeUInt32LE(value, 4 * index);
  };
  word(0, 0xa92b4efc);
  word(2, 90);
  for (const index of [5, 13, 14, 15]) word(index, (shape.uuid ?? 0x11) * 0x01010101);
  word(6, 1000);
  sb.writeInt32LE(shape.level, 28);
  word(8, (shape.component ?? 64) / 2);
  word(10, shape.raidDisks);
  word(33, shape.resyncOffset === undefined ? 1 : 0);
  word(39, shape.events ?? 10);
  word(41, shape.events ?? 10);
  word(43, shape.resyncOffset ?? 0);
  word(64, shape.layout ?? 0);
  word(65, (shape.chunk ?? 8) * 512);
  for (const [index, role] of rolesOf(shape).entries()) {
    word(128 + 32 * index, index);
    word(128 + 32 * index + 3, role);
    word(128 + 32 * index + 4, role < 0xff00 ? 6 : role === 0xfffe ? 1 : 0);
  }
  word(992, shape.number);
  sealSuperblock(sb, 0);
}
