import Basics
import Foundation
import TestSupport
import Testing

@testable import Evidence

@Suite("Evidence verifier")
struct VerifierTests {
  /// A small log with partial tiles of three ages.
  private func small(_ scene: LogScene) async throws {
    let publisher = try await scene.publisher()
    for count in [1, 2, 2] {
      try await scene.append(count)
      _ = await publisher.publish()
    }
    #expect(try scene.verify().isIntact)
  }

  @Test("finds a flip of any single bit pattern in any byte of any file of a small log")
  func everyByte() async throws {
    try await LogScene.with { scene in
      try await small(scene)
      for name in scene.files() {
        let good = try scene.read(name)
        for index in good.indices {
          // A letter's case, the lowest bit, and the highest.
          for mask: UInt8 in [0x01, 0x20, 0x80] {
            var bad = good
            bad[index] ^= mask
            try scene.write(bad, to: name)
            let report = try scene.verify()
            #expect(!report.isIntact, "byte \(index) of \(name), mask \(mask)")
          }
        }
        try scene.write(good, to: name)
      }
      #expect(try scene.verify().isIntact)
    }
  }

  @Test("finds and places sampled flips in a log of 300 entries, and the second verifier agrees")
  func sampled() async throws {
    try await LogScene.with { scene in
      let publisher = try await scene.publisher()
      for count in [40, 230, 30] {
        try await scene.append(count)
        _ = await publisher.publish()
      }
      var copies: [String] = []
      var verdicts: [Verdict] = []
      var random = Seeded(state: 42)
      for (number, name) in scene.files().flatMap({ Array(repeating: $0, count: 4) }).enumerated() {
        let copy = scene.folder + "/copy-\(number)"
        try FileManager.default.copyItem(atPath: scene.directory, toPath: copy)
        var bytes = try scene.read(name)
        bytes[Int(random.next() % UInt64(bytes.count))] ^= UInt8(1) << UInt8(random.next() % 8)
        try Data(bytes).write(to: URL(filePath: copy + "/" + name))
        let report = try EvidenceVerifier.verify(directory: copy)
        #expect(report.problems.contains { $0.file == name || name == "log.vkey" }, "\(name): \(report.problems)")
        copies.append(copy)
        verdicts.append(Verdict(report))
      }
      let python = try PythonVerifier.verify(copies)
      #expect(python.exit == 1)
      #expect(python.reports.count == copies.count)
      for (index, report) in python.reports.enumerated() {
        #expect(Verdict(report) == verdicts[index], "\(report.problems)")
      }
    }
  }

  /// What is done to a log of 600 entries, and which file and entry are to be named first.
  struct Tampering: Sendable, CustomStringConvertible {
    let description: String
    let file: String
    let entry: Int?
    let apply: @Sendable (LogScene) throws -> Void
  }

  static let tamperings: [Tampering] = [
    Tampering(description: "an entry in a full tile", file: "tile/entries/001", entry: 300) { scene in
      try scene.edit("tile/entries/001", entry: 300 - 256, replacing: "zoë", with: "zoé")
    },
    Tampering(description: "an entry in the last tile", file: "tile/entries/002.p/88", entry: 599) { scene in
      try scene.edit("tile/entries/002.p/88", entry: 599 - 512, replacing: "zoë", with: "zoé")
    },
    Tampering(description: "a hash in a full tile", file: "tile/0/001", entry: 300) { scene in
      try scene.flip("tile/0/001", at: (300 - 256) * 32)
    },
    Tampering(description: "a hash in the last tile", file: "tile/0/002.p/88", entry: 512) { scene in
      try scene.flip("tile/0/002.p/88", at: 0)
    },
    Tampering(description: "a hash of the upper level", file: "tile/1/000.p/2", entry: 256) { scene in
      try scene.flip("tile/1/000.p/2", at: 33)
    },
    Tampering(description: "an entry and its hash", file: "tile/0/001", entry: 256) { scene in
      try scene.edit("tile/entries/001", entry: 300 - 256, replacing: "zoë", with: "zoé")
      let (entries, _) = EntryBundle.decode(try scene.read("tile/entries/001"), most: 256)
      try scene.write(entries.flatMap { Merkle.leaf($0).bytes }, to: "tile/0/001")
    },
    Tampering(description: "a missing bundle", file: "tile/entries/001", entry: 256) { scene in
      try FileManager.default.removeItem(atPath: scene.directory + "/tile/entries/001")
    },
    Tampering(description: "a missing tile", file: "tile/0/000", entry: 0) { scene in
      try FileManager.default.removeItem(atPath: scene.directory + "/tile/0/000")
    },
    Tampering(description: "a cut bundle", file: "tile/entries/000", entry: 255) { scene in
      try scene.write(try scene.read("tile/entries/000").dropLast(), to: "tile/entries/000")
    },
    Tampering(description: "two entries swapped", file: "tile/entries/000", entry: 3) { scene in
      var (entries, _) = EntryBundle.decode(try scene.read("tile/entries/000"), most: 256)
      entries.swapAt(3, 4)
      try scene.write(EntryBundle.encode(entries), to: "tile/entries/000")
    },
    Tampering(description: "another size", file: "checkpoint", entry: nil) { scene in
      let note = String(decoding: try scene.read("checkpoint"), as: UTF8.self).replacing("\n600\n", with: "\n599\n")
      try scene.write(Array(note.utf8), to: "checkpoint")
    },
    Tampering(description: "no checkpoint", file: "checkpoint", entry: nil) { scene in
      try FileManager.default.removeItem(atPath: scene.directory + "/checkpoint")
    },
    Tampering(description: "no key", file: "log.vkey", entry: nil) { scene in
      try FileManager.default.removeItem(atPath: scene.directory + "/log.vkey")
    },
    Tampering(description: "a file too many", file: "tile/0/notes.txt", entry: nil) { scene in
      try scene.write([1], to: "tile/0/notes.txt")
    },
  ]

  @Test("names the file and the first entry, in both verifiers", arguments: tamperings)
  func places(tampering: Tampering) async throws {
    try await LogScene.with { scene in
      try await scene.append(600)
      _ = try await scene.publisher().publish()
      try tampering.apply(scene)
      let report = try scene.verify()
      let first = try #require(report.problems.first)
      #expect(first.file == tampering.file && first.entry == tampering.entry, "\(report.problems)")
      #expect(Set(report.problems.map(\.file)).count == 1)
      let python = try PythonVerifier.verify([scene.directory])
      #expect(python.exit == 1)
      #expect(python.reports.map(Verdict.init) == [Verdict(report)])
    }
  }

  @Test("a log signed with another key passes only as long as nobody gave the right one")
  func givenKey() async throws {
    try await LogScene.with { scene in
      try await scene.append(3)
      let publisher = try await scene.publisher()
      _ = await publisher.publish()
      let key = publisher.verifierKey
      #expect(try EvidenceVerifier.verify(directory: scene.directory, key: key).isIntact)
      #expect(EvidenceVerifierKey(key.text) == key)
      let python = try PythonVerifier.verify([scene.directory], key: key.text)
      #expect(python.exit == 0)

      let forger = try EvidenceSigner(seed: Secret(bytes: [UInt8].random(count: 32)), origin: LogScene.origin)
      let root = try #require(Hex.decode(try scene.verify().root).flatMap { MerkleHash($0) })
      try scene.write(
        try forger.sign(EvidenceCheckpoint(origin: LogScene.origin, size: 3, root: root)), to: "checkpoint")
      try scene.write(Array((forger.verifierKey.text + "\n").utf8), to: "log.vkey")
      #expect(try scene.verify().isIntact)
      let report = try EvidenceVerifier.verify(directory: scene.directory, key: key)
      #expect(Set(report.problems.map(\.file)) == ["checkpoint", "log.vkey"])
      let second = try PythonVerifier.verify([scene.directory], key: key.text)
      #expect(second.reports.map(Verdict.init) == [Verdict(report)])
    }
  }

  @Test("verifies logs around the second level", arguments: [65_535, 65_536, 65_537])
  func large(size: Int) async throws {
    try await TestFolder.with { path in
      // Written without a database, which is what makes this many entries cheap.
      var folder = try TileFolder(path: path)
      var tree = TileTree()
      var bundle: [[UInt8]] = []
      for index in 0..<size {
        let text = #"{"actor":"a","at":"2026-01-01T00:00:00.000Z","data":{},"index":\#(index),"kind":"k.k","v":1}"#
        bundle.append(Array(text.utf8))
        for (path, hashes) in tree.append(Merkle.leaf(Array(text.utf8))) { try folder.write(path, hashes: hashes) }
        if bundle.count == 256 || index == size - 1 {
          let tile = TilePath(.entries, index: index / 256, count: bundle.count)
          try folder.write(tile, bytes: EntryBundle.encode(bundle))
          bundle = []
        }
      }
      for (path, hashes) in tree.partial { try folder.write(path, hashes: hashes) }
      let signer = try EvidenceSigner(seed: Secret(bytes: [UInt8](repeating: 7, count: 32)), origin: "aw/large")
      try folder.writeKey(signer.verifierKey)
      try folder.writeCheckpoint(
        try signer.sign(EvidenceCheckpoint(origin: "aw/large", size: size, root: tree.root)))
      let report = try EvidenceVerifier.verify(directory: path)
      #expect(report.isIntact && report.size == size, "\(report.problems.prefix(3))")
      let python = try PythonVerifier.verify([path])
      #expect(python.reports.map(Verdict.init) == [Verdict(report)])
    }
  }

  /// A signed log of one entry, whatever that is: as somebody can make one who has a key.
  private static func sign(_ entry: String, to path: String) throws {
    var folder = try TileFolder(path: path)
    var tree = TileTree()
    _ = tree.append(Merkle.leaf(Array(entry.utf8)))
    try folder.write(
      TilePath(.entries, index: 0, count: 1), bytes: EntryBundle.encode([Array(entry.utf8)]))
    for (path, hashes) in tree.partial { try folder.write(path, hashes: hashes) }
    let signer = try EvidenceSigner(seed: Secret(bytes: [UInt8](repeating: 7, count: 32)), origin: "aw/made")
    try folder.writeKey(signer.verifierKey)
    try folder.writeCheckpoint(try signer.sign(EvidenceCheckpoint(origin: "aw/made", size: 1, root: tree.root)))
  }

  @Test("a signed entry that is none is a problem for both, not the end of either")
  func malformed() async throws {
    func entry(at: String = "2026-01-01T00:00:00.000Z", _ rest: String = #""data":{},"index":0,"v":1"#) -> String {
      #"{"actor":"a","at":"\#(at)","kind":"evidence.heartbeat",\#(rest)}"#
    }
    let beat = #""data":{"node":"a","number":1,"everySeconds":60,"phase":"began"},"index":0,"v":1"#
    let times = [
      "2026-02-30T00:00:00.000Z", "2026-13-01T00:00:00.000Z", "2026-01-01T24:00:00.000Z", "2026-01-01T00:00:60.000Z",
      "0000-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.0000Z",
      "2026-01-01T00:00:00.000+00:00", "٢٠٢٦-01-01T00:00:00.000Z", "2026-01-01 00:00:00.000Z", "",
    ]
    let wrong =
      times.map { entry(at: $0, beat) } + [
        entry(#""data":{},"index":0,"v":true"#), entry(#""data":{},"index":false,"v":1"#),
        entry(#""data":{},"index":0,"v":1,"subject":"org""#), entry(#""data":{},"index":0,"v":1,"subject":{"type":1}"#),
        entry(#""data":NaN,"index":0,"v":1"#), #"{"at":1}"#, "[]", "", "\u{0}",
      ]
    let right = [
      entry(), entry(beat), entry(at: "2028-02-29T23:59:59.999Z", beat), entry(at: "9999-12-31T23:59:59.999Z", beat),
      entry(#""data":null,"index":0,"v":1"#), entry(#""data":{"node":[]},"index":0,"v":1"#),
    ]
    try await TestFolder.with { folder in
      let all = (wrong + right).enumerated().map { ("\(folder)/\($0.offset)", $0.element) }
      for (path, entry) in all { try Self.sign(entry, to: path) }
      let python = try PythonVerifier.verify(all.map(\.0)).reports
      try #require(python.count == all.count)
      for (index, (path, entry)) in all.enumerated() {
        let report = try EvidenceVerifier.verify(directory: path)
        #expect(report.isIntact == (index >= wrong.count), "\(entry): \(report.problems)")
        #expect(Verdict(python[index]) == Verdict(report), "\(entry): \(python[index].problems)")
      }
    }
  }

  @Test("key ids and signatures are those of C2SP signed-note")
  func knownKey() {
    // The verifier key of Go's checksum database, whose id everyone can look up.
    let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    let key = EvidenceVerifierKey(text)
    #expect(key?.name == "sum.golang.org")
    #expect(key?.text == text)
    #expect(EvidenceVerifierKey(text.replacing("033de0ae", with: "033DE0AE")) == nil)
    #expect(EvidenceVerifierKey(text.replacing("golang", with: "go1ang")) == nil)
  }
}

extension LogScene {
  func flip(_ name: String, at index: Int) throws {
    var bytes = try read(name)
    bytes[index] ^= 1
    try write(bytes, to: name)
  }

  /// Changes one entry of a bundle, keeping its length.
  func edit(_ name: String, entry: Int, replacing old: String, with new: String) throws {
    var (entries, _) = EntryBundle.decode(try read(name), most: 256)
    entries[entry] = Array(String(decoding: entries[entry], as: UTF8.self).replacing(old, with: new).utf8)
    try write(EntryBundle.encode(entries), to: name)
  }
}
