/** TargetLab: what a target asks a real kernel, and how the answers are compared with Theriac's. One file a target; main.ts names them. */
import type { Prng } from "../../src/base/index.ts";

/** What was compared. */
export interface Compared {
  readonly compared: number;
  /** One line each, for people. */
  readonly mismatches: readonly string[];
}

/** One target in the lab. */
export interface TargetLab {
  /** Also its script's: `lab/targets/NAME.sh`, which runs in the guest. */
  readonly name: string;
  /** Leaves what the script needs in the folder that the guest sees. */
  ask(folder: string, prng: Prng): Promise<void>;
  /** Looks at what the script left there. */
  compare(folder: string): Promise<Compared>;
}
