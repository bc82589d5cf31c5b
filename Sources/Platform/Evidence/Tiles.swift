import Basics

/// Where a tile lies in the folder of a log (C2SP tlog-tiles).
struct TilePath: Hashable {
  /// How many hashes or entries a full tile has.
  static let width = 256

  enum Kind: Hashable {
    /// Hashes: level 0 has those of the entries, level 1 the roots of 256 of them, and so on.
    case hashes(level: Int)
    case entries
  }

  let kind: Kind
  let index: Int
  /// 1 to 256; less than 256 for a partial tile.
  let count: Int

  /// `tile/0/x001/234.p/17`: the index in groups of three digits, all but the last with an `x`.
  var text: String { fullText + (count < TilePath.width ? ".p/\(count)" : "") }

  /// The folder that holds the partial forms of this tile.
  var partialFolder: String { fullText + ".p" }

  private var fullText: String {
    var groups = [TilePath.padded(index % 1_000)]
    var rest = index / 1_000
    while rest > 0 {
      groups.insert("x" + TilePath.padded(rest % 1_000), at: 0)
      rest /= 1_000
    }
    let kind =
      switch kind {
      case .hashes(let level): "\(level)"
      case .entries: "entries"
      }
    return "tile/\(kind)/" + groups.joined(separator: "/")
  }

  init(_ kind: Kind, index: Int, count: Int = TilePath.width) {
    self.kind = kind
    self.index = index
    self.count = count
  }

  /// Nil for a path that is not one of a tile, in exactly the form that `text` gives.
  init?(_ text: String) {
    var parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count >= 3, parts.removeFirst() == "tile" else { return nil }
    let first = parts.removeFirst()
    var count = TilePath.width
    if parts.count >= 2, parts[parts.count - 2].hasSuffix(".p") {
      guard let partial = Int(parts.removeLast()), (1..<TilePath.width).contains(partial) else { return nil }
      count = partial
      parts.append(String(parts.removeLast().dropLast(2)))
    }
    guard parts.count <= 5, let index = Int(parts.map { $0.replacing("x", with: "") }.joined()) else { return nil }
    let kind: Kind
    if first == "entries" {
      kind = .entries
    } else {
      guard let level = Int(first), (0..<8).contains(level) else { return nil }
      kind = .hashes(level: level)
    }
    self.init(kind, index: index, count: count)
    guard self.text == text else { return nil }
  }

  private static func padded(_ number: Int) -> String {
    String(repeating: "0", count: 3 - "\(number)".count) + "\(number)"
  }

  /// The tiles that a log of `size` entries has at its right edge and before it, for one kind.
  static func all(_ kind: Kind, size: Int) -> [TilePath] {
    var items = size
    if case .hashes(let level) = kind { for _ in 0..<level { items /= width } }
    return stride(from: 0, to: items, by: width).map {
      TilePath(kind, index: $0 / width, count: min(width, items - $0))
    }
  }

  /// How many levels of hashes a log of `size` entries has.
  static func levels(size: Int) -> Int {
    var (levels, items) = (0, size)
    while items > 0 { (levels, items) = (levels + 1, items / width) }
    return levels
  }
}

/// A growing tree, as its right edge: a pure value.
///
/// `tails[L]` holds the hashes of the tile at level L that is not full yet, so its size is at most 255 hashes a level.
struct TileTree {
  private(set) var size = 0
  private(set) var tails: [[MerkleHash]] = []

  /// Adds an entry and returns the tiles that became full by it, lowest level first.
  mutating func append(_ leaf: MerkleHash) -> [(path: TilePath, hashes: [MerkleHash])] {
    size += 1
    var full: [(TilePath, [MerkleHash])] = []
    var hash = leaf
    var (level, items) = (0, size)
    while true {
      if tails.count == level { tails.append([]) }
      tails[level].append(hash)
      guard tails[level].count == TilePath.width else { return full }
      full.append((TilePath(.hashes(level: level), index: items / TilePath.width - 1), tails[level]))
      hash = Merkle.root(tails[level])
      tails[level] = []
      (level, items) = (level + 1, items / TilePath.width)
    }
  }

  /// The partial tiles at the right edge.
  var partial: [(path: TilePath, hashes: [MerkleHash])] {
    var items = size
    var tiles: [(TilePath, [MerkleHash])] = []
    for (level, hashes) in tails.enumerated() {
      if !hashes.isEmpty {
        tiles.append((TilePath(.hashes(level: level), index: items / TilePath.width, count: hashes.count), hashes))
      }
      items /= TilePath.width
    }
    return tiles
  }

  var root: MerkleHash { Merkle.root(frontier: tails.reversed().flatMap { Merkle.frontier($0[...]) }) }
}

/// A file of entries: each with its length before it, two bytes, big-endian.
enum EntryBundle {
  static func encode(_ entries: some Sequence<[UInt8]>) -> [UInt8] {
    var bytes: [UInt8] = []
    for entry in entries {
      bytes.append(UInt8(truncatingIfNeeded: entry.count >> 8))
      bytes.append(UInt8(truncatingIfNeeded: entry.count))
      bytes += entry
    }
    return bytes
  }

  /// The entries that can be read, up to `most`, and how many bytes they take.
  static func decode(_ bytes: [UInt8], most: Int) -> (entries: [[UInt8]], used: Int) {
    var entries: [[UInt8]] = []
    var position = 0
    while entries.count < most, position + 2 <= bytes.count {
      let count = Int(bytes[position]) << 8 | Int(bytes[position + 1])
      guard position + 2 + count <= bytes.count else { break }
      entries.append(Array(bytes[(position + 2)..<(position + 2 + count)]))
      position += 2 + count
    }
    return (entries, position)
  }
}
