/** map-options: how a file is mapped. */

/** How a file is mapped. */
export interface MapOptions {
  /** "private" is MAP_PRIVATE: the first store into a page copies it, and the file never changes. @default "shared" */
  readonly sharing?: "shared" | "private";
  /** Whose signals a known bad page gives: before 6.5 it was BUS_ADRERR, without lsb. @default "6.5" */
  readonly kernel?: "6.5" | "before 6.5";
  /** Largest page that memory is mapped with: 30 (1 GiB, device-dax), 21 (2 MiB), 12. It shows in `lsb` only. @default 21 */
  readonly largestShift?: 12 | 21 | 30;
  /** Events kept while no section is open, from 1 to 65,536. @default 64 */
  readonly ringCapacity?: number;
  /** Why a shared mapping takes no stores. @default it does */
  readonly frozen?: { readonly code: "EOPNOTSUPP" | "ECANCELED"; readonly why: string } | undefined;
}
