import Crypto

/// A SHA-256 value of the tree.
public struct MerkleHash: Hashable, Sendable {
  public static let byteCount = 32

  private typealias Words = (UInt64, UInt64, UInt64, UInt64)

  // Four words instead of an array: a log of a million entries holds a million of these. (Not a SIMD type: Swift 6.3's
  // task allocator fails with values that are aligned to more than 16 bytes.)
  private let word0: UInt64, word1: UInt64, word2: UInt64, word3: UInt64

  init(_ digest: SHA256.Digest) {
    (word0, word1, word2, word3) = digest.withUnsafeBytes { $0.loadUnaligned(as: Words.self) }
  }

  /// Nil unless there are exactly 32 bytes.
  public init?(_ bytes: some Collection<UInt8>) {
    guard bytes.count == MerkleHash.byteCount else { return nil }
    (word0, word1, word2, word3) = Array(bytes).withUnsafeBytes { $0.loadUnaligned(as: Words.self) }
  }

  public var bytes: [UInt8] { withUnsafeBytes(of: (word0, word1, word2, word3)) { Array($0) } }
}

/// The tree of RFC 6962 (Certificate Transparency): pure functions.
public enum Merkle {
  /// The root of a tree without entries: the hash of nothing.
  public static let emptyRoot = MerkleHash(SHA256.hash(data: [UInt8]()))

  public static func leaf(_ entry: [UInt8]) -> MerkleHash {
    var hasher = SHA256()
    hasher.update(data: [0])
    hasher.update(data: entry)
    return MerkleHash(hasher.finalize())
  }

  public static func node(_ left: MerkleHash, _ right: MerkleHash) -> MerkleHash {
    MerkleHash(SHA256.hash(data: [1] + left.bytes + right.bytes))
  }

  /// The root over leaf hashes (or over the roots of perfect subtrees of equal size).
  public static func root(_ leaves: [MerkleHash]) -> MerkleHash { root(frontier: frontier(leaves[...])) }

  /// The roots of the perfect subtrees that make up a tree, largest first: one for each 1 bit of its size.
  static func frontier(_ leaves: ArraySlice<MerkleHash>) -> [MerkleHash] {
    var frontier: [MerkleHash] = []
    for (index, leaf) in leaves.enumerated() { push(leaf, to: &frontier, size: UInt64(index)) }
    return frontier
  }

  /// Adds a leaf to a tree of `size` entries that is given by its frontier.
  static func push(_ leaf: MerkleHash, to frontier: inout [MerkleHash], size: UInt64) {
    var hash = leaf
    var size = size
    while size & 1 == 1, let left = frontier.popLast() {
      hash = node(left, hash)
      size >>= 1
    }
    frontier.append(hash)
  }

  static func root(frontier: [MerkleHash]) -> MerkleHash {
    guard var hash = frontier.last else { return emptyRoot }
    for left in frontier.dropLast().reversed() { hash = node(left, hash) }
    return hash
  }

  // MARK: - Proofs

  /// The hashes that show that the entry at `index` is in the tree (RFC 6962 section 2.1.1); nil when it is not.
  public static func inclusionProof(index: Int, in leaves: [MerkleHash]) -> [MerkleHash]? {
    guard leaves.indices.contains(index) else { return nil }
    return path(index, leaves[...])
  }

  /// The hashes that show that the tree of the first `oldSize` entries is the beginning of this one (section 2.1.2);
  /// nil when there are fewer entries, or `oldSize` is 0.
  public static func consistencyProof(from oldSize: Int, in leaves: [MerkleHash]) -> [MerkleHash]? {
    guard oldSize > 0, oldSize <= leaves.count else { return nil }
    return oldSize == leaves.count ? [] : subproof(oldSize, leaves[...], isWhole: true)
  }

  /// Whether `proof` shows that `leaf` is at `index` in the tree of `size` entries with this root.
  public static func verifyInclusion(
    _ leaf: MerkleHash, index: Int, size: Int, proof: [MerkleHash], root: MerkleHash
  ) -> Bool {
    guard index >= 0, index < size else { return false }
    var (node, last) = (index, size - 1)
    var hash = leaf
    for sibling in proof {
      if last == 0 { return false }
      if node & 1 == 1 || node == last {
        hash = Merkle.node(sibling, hash)
        while node & 1 == 0, node != 0 { (node, last) = (node >> 1, last >> 1) }
      } else {
        hash = Merkle.node(hash, sibling)
      }
      (node, last) = (node >> 1, last >> 1)
    }
    return last == 0 && hash == root
  }

  /// Whether `proof` shows that the tree with `oldRoot` is the beginning of the tree with `newRoot`.
  public static func verifyConsistency(
    oldSize: Int, oldRoot: MerkleHash, newSize: Int, newRoot: MerkleHash, proof: [MerkleHash]
  ) -> Bool {
    guard oldSize > 0, oldSize <= newSize else { return false }
    if oldSize == newSize { return proof.isEmpty && oldRoot == newRoot }
    // A power of two is a whole subtree, whose root the proof leaves out.
    let proof = oldSize & (oldSize - 1) == 0 ? [oldRoot] + proof : proof
    guard let first = proof.first else { return false }
    var (node, last) = (oldSize - 1, newSize - 1)
    while node & 1 == 1 { (node, last) = (node >> 1, last >> 1) }
    var (old, new) = (first, first)
    for sibling in proof.dropFirst() {
      if last == 0 { return false }
      if node & 1 == 1 || node == last {
        old = Merkle.node(sibling, old)
        new = Merkle.node(sibling, new)
        while node & 1 == 0, node != 0 { (node, last) = (node >> 1, last >> 1) }
      } else {
        new = Merkle.node(new, sibling)
      }
      (node, last) = (node >> 1, last >> 1)
    }
    return last == 0 && old == oldRoot && new == newRoot
  }

  private static func path(_ index: Int, _ leaves: ArraySlice<MerkleHash>) -> [MerkleHash] {
    guard leaves.count > 1 else { return [] }
    let split = splitPoint(leaves.count)
    let (left, right) = (leaves.prefix(split), leaves.dropFirst(split))
    if index < split { return path(index, left) + [root(frontier: frontier(right))] }
    return path(index - split, right) + [root(frontier: frontier(left))]
  }

  private static func subproof(_ size: Int, _ leaves: ArraySlice<MerkleHash>, isWhole: Bool) -> [MerkleHash] {
    if size == leaves.count { return isWhole ? [] : [root(frontier: frontier(leaves))] }
    let split = splitPoint(leaves.count)
    let (left, right) = (leaves.prefix(split), leaves.dropFirst(split))
    if size <= split { return subproof(size, left, isWhole: isWhole) + [root(frontier: frontier(right))] }
    return subproof(size - split, right, isWhole: false) + [root(frontier: frontier(left))]
  }

  /// The largest power of two that is smaller than `count`.
  private static func splitPoint(_ count: Int) -> Int {
    var split = 1
    while split * 2 < count { split *= 2 }
    return split
  }
}
