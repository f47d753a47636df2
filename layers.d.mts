/** Folders in the order a run travels through them. */
export declare const layers: ReadonlyArray<string>
/** The folders that stand below `layer`, which it may not import. */
export declare const below: (layer: string) => ReadonlyArray<string>
