import Basics
import Testing

@testable import Evidence

/// The test vectors of Certificate Transparency's reference implementation (`merkle_tree_test`).
@Suite("Merkle tree")
struct MerkleTests {
  static let inputs = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
  ].map { Hex.decode($0) ?? [] }
  static let leaves = inputs.map(Merkle.leaf)
  static let roots = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  ]

  @Test("has the published roots", arguments: 1...8)
  func knownRoots(size: Int) {
    #expect(Hex.encode(Merkle.root(Array(Self.leaves.prefix(size))).bytes) == Self.roots[size - 1])
  }

  @Test("without entries has the hash of nothing as its root")
  func empty() {
    #expect(
      Hex.encode(Merkle.root([]).bytes) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  }

  @Test("has the published inclusion and consistency proofs")
  func knownProofs() {
    let inclusion = Merkle.inclusionProof(index: 5, in: Self.leaves)?.map { Hex.encode($0.bytes) }
    #expect(
      inclusion == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      ])
    let consistency = Merkle.consistencyProof(from: 6, in: Self.leaves)?.map { Hex.encode($0.bytes) }
    #expect(
      consistency == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      ])
  }

  @Test("proves every entry of every small tree, and nothing else")
  func inclusion() throws {
    let leaves = (0..<34).map { Merkle.leaf([UInt8($0)]) }
    for size in 1...leaves.count {
      let tree = Array(leaves.prefix(size))
      let root = Merkle.root(tree)
      for index in 0..<size {
        let proof = try #require(Merkle.inclusionProof(index: index, in: tree))
        func holds(_ leaf: MerkleHash, _ index: Int, _ size: Int, _ proof: [MerkleHash]) -> Bool {
          Merkle.verifyInclusion(leaf, index: index, size: size, proof: proof, root: root)
        }
        #expect(holds(tree[index], index, size, proof))
        #expect(!holds(Merkle.leaf([99]), index, size, proof))
        #expect(!holds(tree[index], size, size, proof))
        #expect(!holds(tree[index], index, size, proof + [root]))
        if !proof.isEmpty { #expect(!holds(tree[index], index, size, Array(proof.dropLast()))) }
      }
      #expect(Merkle.inclusionProof(index: size, in: tree) == nil)
    }
  }

  @Test("proves that every small tree is the beginning of every larger one")
  func consistency() throws {
    let leaves = (0..<34).map { Merkle.leaf([UInt8($0)]) }
    for size in 1...leaves.count {
      let tree = Array(leaves.prefix(size))
      for old in 1...size {
        let proof = try #require(Merkle.consistencyProof(from: old, in: tree))
        let oldRoot = Merkle.root(Array(leaves.prefix(old)))
        func holds(_ oldRoot: MerkleHash, _ proof: [MerkleHash]) -> Bool {
          Merkle.verifyConsistency(
            oldSize: old, oldRoot: oldRoot, newSize: size, newRoot: Merkle.root(tree), proof: proof)
        }
        #expect(holds(oldRoot, proof))
        #expect(!holds(Merkle.leaf([99]), proof))
        #expect(!holds(oldRoot, proof + [oldRoot]))
      }
    }
  }

  @Test(
    "grown one entry at a time has the same root and the right tiles",
    arguments: [0, 1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537])
  func grown(size: Int) {
    var tree = TileTree()
    var full: [TilePath: [MerkleHash]] = [:]
    var leaves: [MerkleHash] = []
    for index in 0..<size {
      // The content does not matter here: the leaf hash stands in for the entry.
      let leaf = Merkle.leaf([UInt8(truncatingIfNeeded: index), UInt8(truncatingIfNeeded: index >> 8)])
      leaves.append(leaf)
      for (path, hashes) in tree.append(leaf) { full[path] = hashes }
    }
    for (path, hashes) in tree.partial { full[path] = hashes }
    #expect(tree.root == Merkle.root(leaves))
    let expected = (0..<TilePath.levels(size: size)).flatMap { TilePath.all(.hashes(level: $0), size: size) }
    #expect(Set(full.keys) == Set(expected))
    #expect(full.allSatisfy { $0.key.count == $0.value.count })
    let top = full[TilePath(.hashes(level: 1), index: 0, count: min(256, max(1, size / 256)))]
    if size >= 256 { #expect(top?.first == Merkle.root(Array(leaves.prefix(256)))) }
  }

  @Test(
    "tiles have the paths of C2SP",
    arguments: [
      (0, 256, "tile/0/000"), (5, 256, "tile/0/005"), (1_234_067, 256, "tile/0/x001/x234/067"),
      (1_000, 17, "tile/0/x001/000.p/17"), (999, 255, "tile/0/999.p/255"),
    ])
  func paths(index: Int, count: Int, text: String) {
    let path = TilePath(.hashes(level: 0), index: index, count: count)
    #expect(path.text == text)
    #expect(TilePath(text) == path)
  }

  @Test(
    "what is no path of a tile is refused",
    arguments: [
      "tile/0/1", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/x000/001", "tile/9/000", "tile/00/000",
      "tile/0/000.p/01", "tile/entries", "tile/0/-01", "tile/0/001/x002", "tiles/0/000", "tile/0/000/",
    ])
  func noPaths(text: String) {
    #expect(TilePath(text) == nil)
  }
}
