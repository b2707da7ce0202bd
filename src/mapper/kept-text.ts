/**
 * kept-text: the text that a target keeps between two openings, as a file beside the stack file: `disk.stack.TABLE-SECTOR.TARGET`.
 *
 * It is replaced in one durable step: written beside, synced, renamed. Only a session that writes does so, and that one holds the images
 * below alone; a crash leaves the text before or after, and at worst a `.new` that the next one writes over.
 */
import { StorageError } from "../base/index.ts";
import type { HostFiles } from "../os/index.ts";
import { readText } from "./host-text.ts";
import type { TargetMemory } from "./target.ts";

/** Where a row's text stands. */
export interface KeptTextPlace {
  readonly files: HostFiles;
  /** The stack file. */
  readonly stack: string;
  readonly table: string;
  /** First sector of the row. */
  readonly sector: number;
  /** Name of the target. */
  readonly target: string;
  /** Whether nothing may be written. */
  readonly readOnly: boolean;
}

/** The memory of one row. */
export function keptText(place: KeptTextPlace): TargetMemory {
  const { files, readOnly } = place;
  // a name may hold what a file name may not: "/dev/vda"
  const path = `${place.stack}.${encodeURIComponent(place.table)}-${place.sector}.${place.target}`;
  return {
    load() {
      if (files.info(path) === undefined) return undefined;
      return readText(files, path);
    },
    save(text) {
      if (readOnly)
        throw new StorageError("EACCES", `Cannot write ${path}: the stack is open for reading`, {
          path,
        });
      saveText(files, path, text);
    },
  };
}

function saveText(files: HostFiles, path: string, text: string): void {
  const temporary = `${path}.new`;
  files.remove(temporary);
  const file = files.open(temporary, { access: "create" });
  try {
    file.writeSync(new TextEncoder().encode(text), 0);
    file.sync();
  } finally {
    file.close();
  }
  files.rename(temporary, path);
  files.syncDirectoryOf(path);
}
