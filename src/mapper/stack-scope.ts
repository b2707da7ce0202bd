/** stack-scope: a stack file that is being opened, and which volumes a name of it stands on: they are read before tables are made of them. */
import type { ManagedDevice } from "../device/index.ts";
import type { StackDevice, StackText, StackVolume } from "./stack-text.ts";
import { tableError } from "./table-text.ts";

/** One stack file that is being opened; or a volume, whose tables stand in no file. */
export interface Scope {
  readonly text: StackText;
  readonly made: Map<string, ManagedDevice>;
  /** Volumes that were read, by name. */
  readonly volumes: Map<string, Scope>;
  /** Names that are being made, outermost first. */
  readonly chain: string[];
}

/** A stack file, with nothing made of it yet. */
export function scopeOf(
  text: StackText,
  made: Iterable<readonly [string, ManagedDevice]> = [],
): Scope {
  return { text, made: new Map(made), volumes: new Map(), chain: [] };
}

/** A volume of a stack file. */
export interface FoundVolume {
  readonly scope: Scope;
  readonly volume: StackVolume;
}

/**
 * The volumes that the top of a stack file stands on, those below first. Words of tables that are no devices but look like one only make it read more.
 *
 * @param nested the stack file that a device of a scope names; `undefined` where it names none
 * @throws {StorageError} EBADMSG where a volume stands on itself; circles without one are found when tables are made
 */
export function volumesUnder(
  top: Scope,
  nested: (scope: Scope, device: StackDevice) => Scope | undefined,
): FoundVolume[] {
  const found: FoundVolume[] = [];
  const seen = new Map<Scope, Set<string>>();
  const chain: FoundVolume[] = [];
  const visit = (scope: Scope, name: string): void => {
    const names = seen.get(scope) ?? new Set();
    seen.set(scope, names.add(name));
    const { text } = scope;
    const volume = text.volumes.find((one) => one.name === name);
    const device = text.devices.find((one) => one.name === name);
    const inner = device === undefined ? undefined : nested(scope, device);
    if (inner !== undefined) next(inner, inner.text.top);
    if (volume !== undefined) {
      chain.push({ scope, volume });
      for (const member of volume.members) next(scope, member);
      chain.pop();
      found.push({ scope, volume });
    }
    const table = text.tables.find((one) => one.name === name);
    const words = new Set(table?.rows.flatMap(({ args }) => args));
    for (const word of words) next(scope, word);
  };
  const next = (scope: Scope, name: string): void => {
    const circle = chain.find((one) => one.scope === scope && one.volume.name === name);
    if (circle !== undefined)
      throw tableError(
        { path: scope.text.path, line: circle.volume.line },
        `want no circle: ${name} stands on itself`,
      );
    if (seen.get(scope)?.has(name) !== true) visit(scope, name);
  };
  visit(top, top.text.top);
  return found;
}
