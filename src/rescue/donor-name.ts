/**
 * DonorName: what a person may write for a donor.
 *
 *     backup/                       a tree
 *     backup.img, backup.stack      an image or a stack
 *     copy.img,map=copy.map         what of an image ddrescue has copied
 *     https://host/backup.img       an image on a web server; with ,map=FILE too
 *     https://host/tree/            a tree on one
 *     /etc/hosts=PLACE              one file of the target, from a file or URL
 *
 * What exists under the whole text is always that, whatever the text looks like.
 */

/** A donor's name, taken apart. */
export interface DonorName {
  /** As the user gave it. */
  readonly name: string;
  /** Path or URL. */
  readonly place: string;
  /** Scheme of a URL, in lower case: "https"; `undefined`: a path. */
  readonly scheme: string | undefined;
  /** ddrescue's map of what of it counts. */
  readonly map: string | undefined;
  /** The one path of the target that it is for. */
  readonly path: string | undefined;
}

/** Takes a name apart. @param exists whether a file or directory of a name is there */
export function parseDonorName(name: string, exists: (path: string) => boolean): DonorName {
  const plain = { name, place: name, scheme: undefined, map: undefined, path: undefined };
  if (exists(name)) return plain;
  const listed = /^(.+),map=([^,]+)$/s.exec(name);
  const rest = listed?.[1] ?? name;
  const single = exists(rest) ? null : /^(\/[^=]*)=(.+)$/s.exec(rest);
  const place = single?.[2] ?? rest;
  const scheme = exists(place) ? undefined : /^([a-z][a-z0-9+.-]*):\/\//i.exec(place)?.[1];
  return { name, place, scheme: scheme?.toLowerCase(), map: listed?.[2], path: single?.[1] };
}
