/**
 * openStack(): a stack file becomes a device. Every image is opened once, whatever names lead to it, and keeps its own list beside it.
 *
 * Only what the top stands on is opened. What cannot be a stack is refused before anything is written: circles, of tables and of files, and
 * one byte at two addresses, within a table (load-table.ts) or through two of them.
 */
import { dirname, isAbsolute, join, resolve } from "node:path";
import { isPromise, SECTOR, type Clock, type MaybePromise } from "../base/index.ts";
import {
  checkedDevice,
  isNbdUri,
  nbdKey,
  openDevice,
  openNbd,
  openSegment,
  openWindow,
  parseNbdUri,
  type Device,
  type ManagedDevice,
} from "../device/index.ts";
import { nodeFiles, type HostFiles } from "../os/index.ts";
import type { StateRange } from "../poison/index.ts";
import { readText } from "./host-text.ts";
import { after } from "./after.ts";
import { keptText } from "./kept-text.ts";
import { inTurn } from "./in-turn.ts";
import {
  activateRows,
  checkAreas,
  loadTable,
  usedAreas,
  type LoadedRow,
  type UsedArea,
} from "./load-table.ts";
import { mappedDevice, MappedManagedDevice } from "./mapped-managed-device.ts";
import { SpreadList } from "./spread-list.ts";
import { scopeOf, volumesUnder, type FoundVolume, type Scope } from "./stack-scope.ts";
import { parseStack, stackSectors, type StackDevice, type StackText } from "./stack-text.ts";
import { tableError, type TableRow, type TextPlace } from "./table-text.ts";
import type { TargetMemory } from "./target.ts";
import { WindowClaims } from "./window-claims.ts";
import { readVolume } from "./volumes/read-volume.ts";

/** What stands for a member of an array that is gone, as mdadm has it. */
const MISSING = "missing";

/** How a stack is opened. */
export interface OpenStackOptions {
  /** "write" takes every image's lock alone. @default "read" */
  readonly access?: "read" | "write";
  /** What a list that came with the stack says, at the stack's addresses, of bytes that the images' own lists call unread. @default nothing */
  readonly poison?: Iterable<StateRange>;
  /** @default the machine's */
  readonly files?: HostFiles;
  /** Clock of slow zones. @default the machine's */
  readonly clock?: Clock;
  /** Whether to map images for direct access. @default false */
  readonly map?: boolean;
  /** Whether the contract is checked between any two layers (checked-device.ts); nothing is flattened then. @default false */
  readonly checked?: boolean;
}

/** A stack that is open. */
export interface OpenStack {
  /** The top; closing it closes all. */
  readonly device: ManagedDevice;
  /** The same without the seam. */
  readonly table: MappedManagedDevice;
  /** What the stack file calls it. */
  readonly name: string;
  /** What the members of volumes say that is not as it should be, for people. */
  readonly notes: readonly string[];
}

/**
 * Opens a stack: at once where no target has something of its own to read.
 *
 * @throws {StorageError} EBADMSG with file, line and wish; of each image what `openDevice` throws
 */
export function openStack(path: string, options: OpenStackOptions = {}): MaybePromise<OpenStack> {
  return openWith(new StackOpener(options), (opener) => opener.open(path));
}

/** Opens a stack whose text is in no file. @throws {StorageError} as `openStack` */
export function openStackText(
  text: StackText,
  options: OpenStackOptions = {},
): MaybePromise<OpenStack> {
  return openWith(new StackOpener(options), (opener) => opener.openText(text));
}

/** Closes what an opening that fails has open. */
function openWith(
  opener: StackOpener,
  open: (opener: StackOpener) => MaybePromise<OpenStack>,
): MaybePromise<OpenStack> {
  const refuse = (error: unknown): never => {
    opener.abandon();
    throw error;
  };
  try {
    const opened = open(opener);
    return isPromise(opened) ? opened.catch(refuse) : opened;
  } catch (error) {
    return refuse(error);
  }
}

/** Bytes of a stack: from its text alone, or from what its members say where the top is a volume. @throws {StorageError} */
export function stackSize(path: string, files: HostFiles = nodeFiles): MaybePromise<number> {
  const sectors = stackSectors(parseStack(readText(files, path), path));
  if (sectors !== undefined) return sectors * SECTOR;
  const opened = openStack(path, { files });
  return isPromise(opened) ? opened.then(closedSize) : closedSize(opened);
}

function closedSize({ device }: OpenStack): MaybePromise<number> {
  const { size } = device;
  const closed = device.close();
  return isPromise(closed) ? closed.then(() => size) : size;
}

class StackOpener {
  readonly #options: OpenStackOptions;
  readonly #files: HostFiles;
  /** Images, and tables under the top, in the order in which they were made. */
  readonly #opened: ManagedDevice[] = [];
  /** What each layer with a seam on it is without. */
  readonly #inner = new Map<Device, ManagedDevice>();
  /** What tables stand on: images and nested stacks, with the seam on them where that is wanted. By kind and real path. */
  readonly #layers = new Map<string, ManagedDevice>();
  /** Stack files that are being opened, outermost first. */
  readonly #chain: string[] = [];
  /** Stack files that were read, by real path. */
  readonly #scopes = new Map<string, Scope>();
  readonly #notes: string[] = [];
  readonly #areas: UsedArea[] = [];
  /** Tables that are not activated yet, those below first. */
  readonly #tables: (readonly LoadedRow[])[] = [];
  readonly #windows = new WindowClaims();
  /** URIs of exports, with the stack file and line that name them first. */
  readonly #remotes = new Map<string, TextPlace>();

  constructor(options: OpenStackOptions) {
    this.#options = options;
    this.#files = options.files ?? nodeFiles;
  }

  open(path: string): MaybePromise<OpenStack> {
    const scope = this.#read(path);
    this.#chain.push(this.#real(path));
    return this.#open(scope);
  }

  openText(text: StackText): MaybePromise<OpenStack> {
    return this.#open(scopeOf(text));
  }

  #open(scope: Scope): MaybePromise<OpenStack> {
    const volumes = volumesUnder(scope, (from, device) => this.#nested(from, device));
    const remotes = inTurn([...this.#remotes.keys()], (uri) => this.#openRemote(uri));
    const read = after(remotes, () => inTurn(volumes, (found) => this.#readVolume(found)));
    return after(read, () => this.#load(scope));
  }

  #load(scope: Scope): MaybePromise<OpenStack> {
    const rows = this.#rowsOf(scope, scope.text.top);
    checkAreas(this.#areas);
    const ready = this.#activate();
    const opened = (): OpenStack => this.#top(rows, scope.text);
    return isPromise(ready) ? ready.then(opened) : opened();
  }

  /** Readies the tables that were made since the last time. */
  #activate(): MaybePromise<void> {
    return inTurn(this.#tables.splice(0), activateRows);
  }

  #top(rows: readonly LoadedRow[], { path, top }: StackText): OpenStack {
    const device = mappedDevice(rows, { name: path, owned: this.#opened }) as MappedManagedDevice;
    const lists = new SpreadList((layer) => this.#inner.get(layer) ?? layer);
    for (const part of this.#options.poison ?? []) lists.spread(device, part);
    lists.give(this.#options.access ?? "read");
    const { checked = false } = this.#options;
    const notes = this.#notes;
    return { device: checked ? checkedDevice(device) : device, table: device, name: top, notes };
  }

  /** Closes what an opening that failed has open; only the first failure is told. */
  abandon(): void {
    for (const device of this.#opened) {
      try {
        const closed = device.close();
        if (isPromise(closed)) closed.catch(() => undefined);
      } catch {
        // the stack failed already
      }
    }
  }

  #read(path: string): Scope {
    const real = this.#real(path);
    const scope = this.#scopes.get(real) ?? scopeOf(parseStack(readText(this.#files, path), path));
    this.#scopes.set(real, scope);
    return scope;
  }

  /** The stack file that a device names. Exports are noted: they are opened before tables are made, which do not wait. */
  #nested(scope: Scope, { kind, path, line }: StackDevice): Scope | undefined {
    if (isNbdUri(path)) {
      const place = { path: scope.text.path, line };
      if (kind !== "device")
        throw tableError(place, `want a file for a ${kind}: got the URI "${path}"`);
      if (!this.#remotes.has(path)) this.#remotes.set(path, place);
      return undefined;
    }
    return kind === "device" && path.endsWith(".stack")
      ? this.#read(pathBeside(scope.text.path, path))
      : undefined;
  }

  async #openRemote(uri: string): Promise<void> {
    const key = layerKey(uri);
    if (this.#layers.has(key)) return;
    const { access = "read", clock } = this.#options;
    const timed = clock === undefined ? {} : { clock };
    const device = await openNbd(uri, { access, ...timed });
    this.#opened.push(device);
    this.#layers.set(key, this.#layer(device));
  }

  /** Makes tables of what the members of a volume say. */
  async #readVolume({ scope, volume }: FoundVolume): Promise<void> {
    const { path } = scope.text;
    const members = volume.members.flatMap((word) => {
      const device = this.#lookup(scope, word);
      if (device !== undefined) return [{ word, device }];
      if (volume.kind === "md" && word === MISSING) return [];
      throw tableError(
        { path, line: volume.line },
        `Device lookup failed: want a device that the file names: got "${word}"`,
      );
    });
    await this.#activate();
    const { tables, notes } = await readVolume(volume, members, path);
    this.#notes.push(...notes.map((note) => `${volume.name}: ${note}`));
    const text = { path, devices: [], volumes: [], tables, top: volume.name, namesTop: true };
    const made = members.map(({ word, device }) => [word, device] as const);
    scope.volumes.set(volume.name, scopeOf(text, made));
  }

  #real(path: string): string {
    const full = resolve(path);
    return this.#files.real?.(full) ?? full;
  }

  #rowsOf(scope: Scope, name: string): LoadedRow[] {
    const volume = scope.volumes.get(name);
    if (volume !== undefined) return this.#rowsOf(volume, name);
    const { path, tables } = scope.text;
    const rows = tables.find((table) => table.name === name)?.rows ?? [];
    const [first] = rows;
    if (scope.chain.includes(name))
      throw tableError(
        { path, line: first?.line ?? 1 },
        `want no circle of tables: got ${[...scope.chain, name].join(" -> ")}`,
      );
    scope.chain.push(name);
    const loaded = loadTable(rows, {
      path,
      lookup: (word) => this.#lookup(scope, word),
      memoryOf: (row) => this.#memoryOf(path, name, row),
    });
    scope.chain.pop();
    this.#areas.push(...usedAreas(loaded, path));
    this.#tables.push(loaded);
    return loaded;
  }

  #memoryOf(path: string, table: string, row: TableRow): TargetMemory {
    return keptText({
      files: this.#files,
      stack: this.#real(path),
      table,
      sector: row.start,
      target: row.type,
      readOnly: this.#options.access !== "write",
    });
  }

  #lookup(scope: Scope, word: string): ManagedDevice | undefined {
    const known = scope.made.get(word);
    if (known !== undefined) return known;
    const { devices, tables } = scope.text;
    const named = devices.find(({ name }) => name === word);
    let device: ManagedDevice | undefined;
    if (named !== undefined) device = this.#openNamed(scope, named);
    else if (scope.volumes.has(word) || tables.some(({ name }) => name === word))
      device = this.#layer(this.#table(this.#rowsOf(scope, word), word));
    if (device !== undefined) scope.made.set(word, device);
    return device;
  }

  /** A layer, with the seam on it where that is wanted. */
  #layer(device: ManagedDevice): ManagedDevice {
    if (this.#options.checked !== true) return device;
    const checked = checkedDevice(device);
    this.#inner.set(checked, device);
    return checked;
  }

  #openNamed(scope: Scope, named: StackDevice): ManagedDevice {
    const remote = isNbdUri(named.path) ? this.#layers.get(layerKey(named.path)) : undefined;
    if (remote !== undefined) return remote;
    const path = pathBeside(scope.text.path, named.path);
    const real = this.#real(path);
    const where = named.kind === "window" ? ` ${named.start}+${named.length}` : "";
    const key = `${named.kind} ${real}${where}`;
    const known = this.#layers.get(key);
    if (known !== undefined) return known;
    const layer = this.#layer(
      named.kind === "device" && path.endsWith(".stack")
        ? this.#openNested({ path: scope.text.path, line: named.line }, path, real)
        : this.#openLeaf(scope, named, path),
    );
    this.#layers.set(key, layer);
    return layer;
  }

  #openNested(place: TextPlace, path: string, real: string): ManagedDevice {
    if (this.#chain.includes(real))
      throw tableError(
        place,
        `want no circle of stack files: got ${[...this.#chain, real].join(" -> ")}`,
      );
    const inner = this.#read(path);
    this.#chain.push(real);
    const rows = this.#rowsOf(inner, inner.text.top);
    this.#chain.pop();
    return this.#table(rows, path);
  }

  /** A table under the top. */
  #table(rows: readonly LoadedRow[], name: string): ManagedDevice {
    const device = mappedDevice(rows, { name }) as MappedManagedDevice;
    this.#opened.push(device);
    return device;
  }

  #openLeaf(scope: Scope, named: StackDevice, path: string): ManagedDevice {
    const { access = "read", clock, map = false } = this.#options;
    const files = this.#files;
    let device: ManagedDevice;
    if (named.kind === "segment") device = openSegment(path, { access, files });
    else if (named.kind === "window") {
      this.#windows.add(named, { real: this.#real(path), stack: scope.text.path });
      const window = { offset: named.start * SECTOR, length: named.length * SECTOR };
      device = openWindow(path, window, { access, files });
    } else {
      const timed = clock === undefined ? {} : { clock };
      device = openDevice(path, { access, files, map, ...timed });
    }
    this.#opened.push(device);
    return device;
  }
}

/** Two URIs of one export are one layer. */
function layerKey(uri: string): string {
  return `nbd ${nbdKey(parseNbdUri(uri))}`;
}

/** A path of a stack file as people would write it from where they are. */
function pathBeside(stack: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(stack), path);
}
