/** Mounts: what is mounted where, from `/proc/self/mountinfo` (proc(5)). */
import { readFileSync } from "node:fs";

/** One mount. */
export interface Mount {
  /** "MAJOR:MINOR" of what is mounted; of btrfs and others that stand on no single device a number of their own. */
  readonly number: string;
  /** Which folder of the file system is seen. */
  readonly root: string;
  /** Where. */
  readonly folder: string;
  /** "ext4", "xfs". */
  readonly type: string;
  /** What it was mounted from: "/dev/pmem0". */
  readonly source: string;
  /** Options of the file system: "rw,dax=always". */
  readonly options: readonly string[];
}

/** Where mounts are told. */
export interface MountsOptions {
  /** @default "/proc/self/mountinfo" */
  readonly mountinfo?: string;
}

/** All mounts, in the order in which they were made; none where nobody tells. */
export function mounts(options: MountsOptions = {}): readonly Mount[] {
  const { mountinfo = "/proc/self/mountinfo" } = options;
  try {
    return parseMounts(readFileSync(mountinfo, "utf8"));
  } catch {
    return [];
  }
}

/** The text of mountinfo: `36 35 98:0 /root /mnt/x rw,noatime master:1 - ext4 /dev/sda rw,dax=always`. Other lines are passed over. */
export function parseMounts(text: string): readonly Mount[] {
  return text.split("\n").flatMap((line) => {
    const [own = "", more = ""] = line.split(" - ", 2);
    const [, , number, root, folder] = own.split(" ");
    const [type, source, last] = more.split(" ");
    if (number === undefined || root === undefined || folder === undefined || type === undefined)
      return [];
    return [
      {
        number,
        root: unescaped(root),
        folder: unescaped(folder),
        type,
        source: unescaped(source ?? ""),
        options: (last ?? "").split(","),
      },
    ];
  });
}

/** Space, tab, newline and backslash stand as `\040` there. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
