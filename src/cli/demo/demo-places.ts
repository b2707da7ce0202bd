/**
 * demo-places: some forty places of a file system to poison, of every class that a person should see hit once.
 *
 * The choice comes from the file map itself and a seed, so that the same image and seed always give the same places.
 */
import { createPrng, type ByteRange, type Prng } from "../../base/index.ts";
import type { FileInfo, FileMap } from "../../fs/index.ts";

/** One place, with what was aimed at. */
export interface DemoPlace extends ByteRange {
  readonly aim: "file data" | "slack" | "directory" | "inode" | "B+tree" | "free space";
  /** A path that it belongs to; "" where there is none. */
  readonly path: string;
}

interface Listed extends FileInfo {
  readonly paths: readonly string[];
}

/** How many places of each class; forty together. */
const COUNTS = { data: 27, slack: 5, inodes: 2, trees: 2, free: 5 };
const LENGTHS = [64, 64, 256, 512, 512, 1024, 4096, 8192] as const;
/** Files from this size on are hit in their data. */
const DATA_BYTES_MIN = 8192;

/** Chooses the places. They do not overlap; each lies inside one class. */
export async function choosePlaces(map: FileMap, seed: number): Promise<readonly DemoPlace[]> {
  const random = createPrng(seed);
  const files: Listed[] = [];
  const folders: Listed[] = [];
  for await (const info of map.files()) {
    if (info.paths.length === 0) continue;
    if (info.kind === "file") files.push(info);
    if (info.kind === "directory" && info.paths[0] !== "/") folders.push(info);
  }
  const big = files.filter((file) => file.size >= DATA_BYTES_MIN);
  const places = [
    ...(await dataPlaces(map, { files: big, random })),
    ...(await slackPlaces(map, { files, random })),
    ...(await directoryPlace(map, { folders, files, random })),
    ...(await inodePlaces(map, {
      files: files.filter((file) => file.size < DATA_BYTES_MIN),
      random,
    })),
    ...(await treePlaces(map, random)),
    ...(await freePlaces(map, random)),
  ];
  return places.sort((one, other) => one.offset - other.offset);
}

interface From {
  readonly files: readonly Listed[];
  readonly random: Prng;
}

/** Takes `count` different items. */
function draw<T>(items: readonly T[], count: number, random: Prng): T[] {
  const rest = [...items];
  const drawn: T[] = [];
  while (drawn.length < count && rest.length > 0)
    drawn.push(...rest.splice(random.below(rest.length), 1));
  return drawn;
}

async function dataPlaces(map: FileMap, { files, random }: From): Promise<DemoPlace[]> {
  const places: DemoPlace[] = [];
  for (const file of draw(files, COUNTS.data, random)) {
    const extent = (await map.extents(file.inode)).find(
      (part) => part.kind === "data" && part.device !== undefined && part.length >= DATA_BYTES_MIN,
    );
    if (extent?.device === undefined) continue;
    const { length: most } = extent;
    const length = random.pick(LENGTHS.filter((each) => each <= most / 2));
    const offset = 64 * random.below(Math.floor((extent.length - length) / 64));
    places.push({
      offset: extent.device + offset,
      length,
      aim: "file data",
      path: file.paths[0] ?? "",
    });
  }
  return places;
}

/** Bytes behind a file's end in its last block. */
async function slackPlaces(map: FileMap, { files, random }: From): Promise<DemoPlace[]> {
  const places: DemoPlace[] = [];
  for (const file of draw(files, files.length, random)) {
    if (places.length === COUNTS.slack) break;
    const last = (await map.extents(file.inode)).at(-1);
    const tail = file.size % map.blockSize;
    if (
      last?.kind !== "data" ||
      last.device === undefined ||
      tail === 0 ||
      tail > map.blockSize - 256
    )
      continue;
    const block = last.device + last.length - tail;
    places.push({
      offset: block + map.blockSize - 128,
      length: 64,
      aim: "slack",
      path: file.paths[0] ?? "",
    });
  }
  return places;
}

/** The block of a directory that holds a few files: its names are hidden until it is healed. */
async function directoryPlace(
  map: FileMap,
  { folders, files, random }: From & { readonly folders: readonly Listed[] },
): Promise<DemoPlace[]> {
  for (const folder of draw(folders, folders.length, random)) {
    const path = folder.paths[0] ?? "";
    const inside = files.filter((file) => file.paths.some((name) => name.startsWith(`${path}/`)));
    const extent = (await map.extents(folder.inode))[0];
    if (
      inside.length < 2 ||
      inside.length > 40 ||
      extent?.kind !== "data" ||
      extent.device === undefined
    )
      continue;
    return [{ offset: extent.device, length: 512, aim: "directory", path }];
  }
  return [];
}

/** Slots of the inode table: where an owner says "inode", found by asking for the metadata in front of the first data. */
async function inodePlaces(map: FileMap, { files, random }: From): Promise<DemoPlace[]> {
  const wanted = new Map(draw(files, COUNTS.inodes, random).map((file) => [file.inode, file]));
  const places: DemoPlace[] = [];
  for (const piece of await map.owners(await map.used())) {
    const owner = piece.owners[0];
    const file = owner?.what === "inode" ? wanted.get(owner.inode ?? 0) : undefined;
    if (file === undefined) continue;
    wanted.delete(file.inode);
    places.push({
      offset: piece.offset,
      length: 64,
      aim: "inode",
      path: file.paths[0] ?? "",
    });
  }
  return places;
}

/** Blocks of the trees that a file system keeps of itself, where it has such. */
async function treePlaces(map: FileMap, random: Prng): Promise<DemoPlace[]> {
  const owned = await map.owners(await map.used());
  const trees = owned.filter(({ owners }) => owners.some(({ what }) => what.endsWith("-tree")));
  return draw(trees, COUNTS.trees, random).map(({ offset }) => ({
    offset,
    length: 256,
    aim: "B+tree",
    path: "",
  }));
}

async function freePlaces(map: FileMap, random: Prng): Promise<DemoPlace[]> {
  const places: DemoPlace[] = [];
  let at = 0;
  for (const used of await map.used()) {
    if (used.offset - at >= 16_384 && places.length < COUNTS.free) {
      const offset = at + 64 * random.below(Math.floor((used.offset - at - 4096) / 64));
      places.push({ offset, length: random.pick([64, 512, 4096]), aim: "free space", path: "" });
    }
    at = used.offset + used.length;
  }
  while (map.size - at >= 65_536 && places.length < COUNTS.free) {
    places.push({ offset: at + 64 * random.below(512), length: 512, aim: "free space", path: "" });
    at += 65_536;
  }
  return places;
}
