import Basics
import Foundation
import Vault

/// Checks a published log from its files alone: no database, no key of AW's.
///
/// What it cannot see: that the whole folder, with its key, was replaced. Pass a `key` that you noted before.
public struct EvidenceVerifier {
  private let folder: TileFolder
  private var report = EvidenceReport()
  private var size = 0
  private var used: Set<String> = []
  /// For each entry: the hash that belongs to the signed root, as far as it can be told.
  private var leaves: [MerkleHash] = []
  private var beats: [EvidenceBeat] = []
  /// Tiles whose hash file and entries differ and for which the level above does not decide.
  private var undecided: [(index: Int, hashes: [MerkleHash], entries: [MerkleHash])] = []

  /// - Parameters:
  ///   - directory: the folder that holds `checkpoint`.
  ///   - key: the log's verifier key; nil to believe `log.vkey` in the folder.
  ///   - cosigned: what a witness saw of this log; nil leaves its completeness unknown.
  /// - Throws: `notFound` when there is no such folder, `evidenceBroken` when a file cannot be read.
  public static func verify(
    directory: String, key: EvidenceVerifierKey? = nil, cosigned: CosignedCheckpoint? = nil
  ) throws -> EvidenceReport {
    guard FileManager.default.fileExists(atPath: directory) else {
      throw AWError(.notFound, "There is no folder \(directory.quoted).", next: "Give the folder of the evidence log.")
    }
    var verifier = EvidenceVerifier(folder: try TileFolder(path: directory))
    do {
      try verifier.run(key, cosigned)
    } catch let failure as FileFailure {
      throw AWError(
        .evidenceBroken, "The evidence log cannot be read: \(failure).",
        next: "Check that the folder is complete and that you may read it.", cause: failure)
    }
    verifier.report.problems.sort { ($0.file, $0.entry ?? -1, $0.what) < ($1.file, $1.entry ?? -1, $1.what) }
    return verifier.report
  }

  private init(folder: TileFolder) { self.folder = folder }

  private mutating func run(_ given: EvidenceVerifierKey?, _ cosigned: CosignedCheckpoint?) throws {
    guard let key = try readKey(given) else { return }
    guard let note = try folder.read(TileFolder.checkpointName) else {
      return problem(TileFolder.checkpointName, nil, "it is missing")
    }
    let checkpoint: EvidenceCheckpoint
    do {
      checkpoint = try EvidenceCheckpoint(note: note, key: key)
    } catch let refusal as EvidenceCheckpoint.Refusal {
      return problem(TileFolder.checkpointName, nil, refusal.what)
    }
    used = [TileFolder.checkpointName, TileFolder.keyName]
    size = checkpoint.size
    report.size = size
    report.root = Hex.encode(checkpoint.root.bytes)
    if let cosigned, size < cosigned.checkpoint.size {
      report.completeness = .compare(cosigned, size: size, root: nil)
    }
    // A log that lost its tiles must not be answered with a line for every entry.
    guard try readLeaves() else { return }
    decide(checkpoint.root)
    let rootFits = Merkle.root(leaves) == checkpoint.root
    // Only of what was signed can be said whether it is what the witness saw.
    if let cosigned, rootFits, size >= cosigned.checkpoint.size {
      report.completeness = .compare(
        cosigned, size: size, root: Merkle.root(Array(leaves.prefix(cosigned.checkpoint.size))))
    }
    try checkUpperLevels(rootFits: rootFits)
    try checkOtherFiles()
    // What was changed says nothing of when a control plane was there.
    if report.isIntact { report.completeness.look(at: beats, newest: report.newest.flatMap { Timestamp($0) }) }
  }

  private mutating func problem(_ file: String, _ entry: Int?, _ what: String) {
    report.problems.append(EvidenceProblem(file: file, entry: entry, what: what))
  }

  private mutating func readKey(_ given: EvidenceVerifierKey?) throws -> EvidenceVerifierKey? {
    let bytes = try folder.read(TileFolder.keyName)
    let text = bytes.map { String(decoding: $0, as: UTF8.self) }
    let own = text.flatMap { $0.hasSuffix("\n") ? EvidenceVerifierKey(String($0.dropLast())) : nil }
    if own == nil, bytes != nil || given == nil {
      problem(TileFolder.keyName, nil, bytes == nil ? "it is missing" : "it is not a verifier key")
    }
    if let given, let own, own != given { problem(TileFolder.keyName, nil, "it is not the key that was given") }
    return given ?? own
  }

  // MARK: - Entries and their hashes

  /// False when so much is missing that nothing more can be said.
  private mutating func readLeaves() throws -> Bool {
    for path in TilePath.all(.hashes(level: 0), size: size) {
      let first = path.index * TilePath.width
      let hashes = try readHashes(path, firstEntry: first)
      let entries = try readEntries(path, first: first)
      guard hashes != nil || entries != nil else { return false }
      let fromTile = hashes ?? entries ?? []
      let fromEntries = entries ?? hashes ?? []
      leaves += fromTile
      guard fromTile != fromEntries else { continue }
      let parent = try TilePath.parent(of: path, size: size).flatMap { try hash($0.tile, at: $0.position) }
      if parent == Merkle.root(fromTile) {
        blame(entriesIn: path, fromTile, fromEntries)
      } else if parent == Merkle.root(fromEntries) {
        blame(hashesIn: path, fromTile, fromEntries)
        leaves.replaceSubrange(first..<(first + path.count), with: fromEntries)
      } else {
        undecided.append((path.index, fromTile, fromEntries))
      }
    }
    return true
  }

  /// Settles tiles without a parent that helps (always so for the last one) by the signed root.
  private mutating func decide(_ root: MerkleHash) {
    guard !undecided.isEmpty else { return }
    var others = leaves
    for tile in undecided {
      let first = tile.index * TilePath.width
      others.replaceSubrange(first..<(first + tile.entries.count), with: tile.entries)
    }
    let paths = undecided.map { TilePath(.hashes(level: 0), index: $0.index, count: $0.hashes.count) }
    let tilesFit = Merkle.root(leaves) == root
    let entriesFit = Merkle.root(others) == root
    if entriesFit { leaves = others }
    for (path, tile) in zip(paths, undecided) {
      if entriesFit {
        blame(hashesIn: path, tile.hashes, tile.entries)
      } else {
        blame(entriesIn: path, tile.hashes, tile.entries)
        if !tilesFit { blame(hashesIn: path, tile.hashes, tile.entries) }
      }
    }
  }

  private mutating func blame(entriesIn path: TilePath, _ hashes: [MerkleHash], _ entries: [MerkleHash]) {
    let file = TilePath(.entries, index: path.index, count: path.count).text
    for (offset, pair) in zip(hashes, entries).enumerated() where pair.0 != pair.1 {
      problem(file, path.index * TilePath.width + offset, "the entry was changed")
    }
  }

  private mutating func blame(hashesIn path: TilePath, _ hashes: [MerkleHash], _ entries: [MerkleHash]) {
    for (offset, pair) in zip(hashes, entries).enumerated() where pair.0 != pair.1 {
      problem(path.text, path.index * TilePath.width + offset, "the hash of the entry was changed")
    }
  }

  /// The hashes of a tile; nil (and a problem) when the file is missing or has the wrong length.
  private mutating func readHashes(_ path: TilePath, firstEntry: Int) throws -> [MerkleHash]? {
    guard let (bytes, name) = try read(path) else {
      problem(path.text, firstEntry, "it is missing")
      return nil
    }
    let isWhole = bytes.count == path.count * MerkleHash.byteCount
    guard isWhole || (name != path.text && bytes.count == TilePath.width * MerkleHash.byteCount) else {
      problem(name, firstEntry, "it has \(bytes.count) bytes, not \(path.count * MerkleHash.byteCount)")
      return nil
    }
    return MerkleHash.list(bytes, count: path.count)
  }

  /// The hashes of the entries in a bundle; nil (and a problem) when it is missing or cannot be taken apart.
  private mutating func readEntries(_ tile: TilePath, first: Int) throws -> [MerkleHash]? {
    let path = TilePath(.entries, index: tile.index, count: tile.count)
    guard let (bytes, name) = try read(path) else {
      problem(path.text, first, "it is missing")
      return nil
    }
    let (entries, used) = EntryBundle.decode(bytes, most: path.count)
    guard entries.count == path.count, used == bytes.count || name != path.text else {
      problem(name, first + min(entries.count, path.count - 1), "the lengths of its entries do not fit")
      return nil
    }
    for (offset, entry) in entries.enumerated() {
      do throws(EvidenceEntry.Unreadable) {
        let parsed = try EvidenceEntry(parsing: entry, index: Int64(first + offset))
        if first + offset == size - 1 { report.newest = parsed.at.description }
        if let beat = EvidenceBeat(parsed) { beats.append(beat) }
      } catch {
        problem(name, first + offset, error.what)
      }
    }
    return entries.map(Merkle.leaf)
  }

  /// The file of a tile, or of the full form of a partial one (there, when a run was interrupted).
  private mutating func read(_ path: TilePath) throws -> (bytes: [UInt8], name: String)? {
    for candidate in [path, TilePath(path.kind, index: path.index)] {
      if let bytes = try folder.read(candidate.text) {
        used.insert(candidate.text)
        if candidate != path { report.leftovers.append(candidate.text) }
        return (bytes, candidate.text)
      }
    }
    return nil
  }

  private func hash(_ tile: TilePath, at position: Int) throws -> MerkleHash? {
    guard let bytes = try folder.read(tile.text), bytes.count == tile.count * MerkleHash.byteCount else { return nil }
    return MerkleHash.list(bytes, count: tile.count)[position]
  }

  // MARK: - Upper levels and other files

  private mutating func checkUpperLevels(rootFits: Bool) throws {
    var below = leaves
    var isExplained = !report.problems.isEmpty
    for level in 1..<max(2, TilePath.levels(size: size)) {
      below = stride(from: 0, to: below.count / TilePath.width * TilePath.width, by: TilePath.width)
        .map { Merkle.root(Array(below[$0..<($0 + TilePath.width)])) }
      let span = (0..<level).reduce(1) { span, _ in span * TilePath.width }
      for path in TilePath.all(.hashes(level: level), size: size) {
        let first = path.index * TilePath.width
        guard let hashes = try readHashes(path, firstEntry: first * span) else { continue }
        for (offset, hash) in hashes.enumerated() where hash != below[first + offset] {
          if rootFits {
            problem(path.text, (first + offset) * span, "a hash of the upper levels was changed")
          } else if level == 1 {
            let tile = TilePath(.hashes(level: 0), index: first + offset)
            isExplained = true
            problem(tile.text, (first + offset) * span, "its hashes were changed, and its entries with them")
          }
        }
      }
    }
    if !rootFits, !isExplained {
      problem(TileFolder.checkpointName, size - size % TilePath.width, "its root hash is not that of the entries")
    }
  }

  /// Older partial tiles must be the beginning of what is there now; anything unknown does not belong here.
  private mutating func checkOtherFiles() throws {
    for name in folder.files() where !used.contains(name) {
      if (name as NSString).lastPathComponent.hasPrefix(DurableFile.temporaryPrefix) {
        report.leftovers.append(name)
      } else if let path = TilePath(name) {
        try checkOlder(path)
      } else {
        problem(name, nil, "it does not belong to the log")
      }
    }
  }

  private mutating func checkOlder(_ path: TilePath) throws {
    var (known, span, level) = (leaves, 1, 0)
    if case .hashes(let own) = path.kind { level = own }
    for _ in 0..<level {
      known = stride(from: 0, to: known.count / TilePath.width * TilePath.width, by: TilePath.width)
        .map { Merkle.root(Array(known[$0..<($0 + TilePath.width)])) }
      span *= TilePath.width
    }
    let first = path.index * TilePath.width
    guard let bytes = try folder.read(path.text) else { return }
    var hashes: [MerkleHash]
    if path.kind == .entries {
      let (entries, used) = EntryBundle.decode(bytes, most: path.count)
      guard entries.count == path.count, used == bytes.count else {
        return problem(path.text, first + entries.count, "the lengths of its entries do not fit")
      }
      hashes = entries.map(Merkle.leaf)
    } else {
      guard bytes.count == path.count * MerkleHash.byteCount else {
        return problem(path.text, first * span, "it has \(bytes.count) bytes, not \(path.count * MerkleHash.byteCount)")
      }
      hashes = MerkleHash.list(bytes, count: path.count)
    }
    if first + hashes.count > known.count {
      // Written after the checkpoint: only the part that is signed can be checked.
      report.leftovers.append(path.text)
      hashes = Array(hashes.prefix(max(0, known.count - first)))
    }
    for (offset, hash) in hashes.enumerated() where hash != known[first + offset] {
      problem(path.text, (first + offset) * span, "it differs from the newer form of the tile")
    }
  }
}

extension MerkleHash {
  static func list(_ bytes: [UInt8], count: Int) -> [MerkleHash] {
    (0..<count).compactMap { MerkleHash(bytes[($0 * byteCount)..<(($0 + 1) * byteCount)]) }
  }
}

extension TilePath {
  /// Where the root of a full tile stands in the level above; nil for a partial tile.
  static func parent(of path: TilePath, size: Int) -> (tile: TilePath, position: Int)? {
    guard case .hashes(let level) = path.kind, path.count == width else { return nil }
    let tiles = all(.hashes(level: level + 1), size: size)
    guard tiles.indices.contains(path.index / width) else { return nil }
    return (tiles[path.index / width], path.index % width)
  }
}
