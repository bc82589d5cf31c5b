import Basics
import Evidence
import Foundation
import Store
import TestSupport
import Testing

@Suite("Evidence log")
struct LogTests {
  private struct Refusal: Error {}

  @Test("an append in a transaction that is rolled back leaves nothing", arguments: TestEngine.available)
  func rollback(engine: TestEngine) async throws {
    try await LogScene.with(engine) { scene in
      try await scene.append(3)
      let before = try await scene.store.read { try scene.log.head(in: $0) }
      await #expect(throws: Refusal.self) {
        try await scene.store.write { tx in
          try scene.log.append(LogScene.entry(3), redactable: [Redactable("name", "Zoë")], in: tx)
          throw Refusal()
        }
      }
      let after = try await scene.store.read { try scene.log.head(in: $0) }
      #expect(before.size == 3 && after.size == 3 && before.root == after.root)
      let kept = try await scene.store.read { try scene.log.disclosures(of: 3, in: $0) }
      #expect(kept.isEmpty)
    }
  }

  @Test("the head is the root over the leaf hashes, and entries come back as written", arguments: TestEngine.available)
  func head(engine: TestEngine) async throws {
    try await LogScene.with(engine) { scene in
      for count in [1, 1, 5, 10] { try await scene.append(count) }
      let (head, all) = try await scene.store.read { tx in
        (try scene.log.head(in: tx), try scene.log.list(limit: 100, in: tx))
      }
      #expect(head.size == 17)
      #expect(head.root == Merkle.root(all.reversed().map(\.hash)))
      #expect(all.map(\.index) == (0..<17).reversed().map { Int64($0) })
      #expect(all.last?.entry == LogScene.entry(0))
    }
  }

  @Test("the bytes of a field that was erased are nowhere in the database's file")
  func erasedBytes() async throws {
    try await TestStores.withLocation(.sqlite) { location in
      guard case .sqlite(let path) = location else { return }
      let log = EvidenceLog()
      func with<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
        let store = try await Store.open(location, migrations: EvidenceLog.migrations, logger: TestStores.logger)
        let value = try await store.write(body)
        await store.close()
        return value
      }
      let disclosure = try await with { tx in
        for number in 0..<40 { try log.append(LogScene.entry(number), redactable: [Redactable("who", "Zoë")], in: tx) }
        return try tx.run("SELECT disclosure FROM evidence_disclosure WHERE entry_index = 7").first?.text("disclosure")
      }
      let needle = Data(try #require(disclosure).utf8)
      #expect(try Data(contentsOf: URL(filePath: path)).range(of: needle) != nil)
      #expect(try await with { try log.erase(7, field: "who", in: $0) })
      #expect(try Data(contentsOf: URL(filePath: path)).range(of: needle) == nil)
    }
  }

  @Test("pages and filters list newest first", arguments: TestEngine.available)
  func list(engine: TestEngine) async throws {
    try await LogScene.with(engine) { scene in
      try await scene.append(25)
      try await scene.store.write { tx in
        var entry = LogScene.entry(25)
        entry.kind = .other
        entry.act = "act-1"
        entry.actor = "system/test"
        try scene.log.append(entry, in: tx)
      }
      func indices(_ filter: EvidenceFilter, before: Int64? = nil, limit: Int = 100) async throws -> [Int64] {
        try await scene.store.read { tx in
          try scene.log.list(before: before, limit: limit, filter: filter, in: tx).map(\.index)
        }
      }
      let pages = [
        try await indices(EvidenceFilter(), limit: 3), try await indices(EvidenceFilter(), before: 23, limit: 3),
      ]
      #expect(pages == [[25, 24, 23], [22, 21, 20]])
      let byOrg = try await indices(EvidenceFilter(org: "org-0"), before: 10)
      #expect(byOrg == [9, 6, 3, 0])
      let bySubject = try await indices(EvidenceFilter(subjectID: "thing-6"))
      #expect(bySubject == [20, 13, 6])
      let others = [
        EvidenceFilter(kind: .other), .kind(named: "test.other"), EvidenceFilter(act: "act-1"),
        EvidenceFilter(actor: "system/test"), EvidenceFilter(since: LogScene.start.advanced(by: .seconds(25))),
      ]
      for filter in others {
        let found = try await indices(filter)
        #expect(found == [25])
      }
    }
  }

  @Test("a redactable field can be erased, and its value is then nowhere", arguments: TestEngine.available)
  func erase(engine: TestEngine) async throws {
    let sentinel = "SENTINEL-9f3a"
    try await LogScene.with(engine) { scene in
      let index = try await scene.store.write { tx in
        try scene.log.append(
          LogScene.entry(0),
          redactable: [Redactable("email", .string(sentinel)), Redactable("phone", "+1 555 0100")], in: tx)
      }
      let before = try await scene.store.read { try scene.log.disclosures(of: index, in: $0) }
      #expect(before == [Redactable("email", .string(sentinel)), Redactable("phone", "+1 555 0100")])
      let erased = try await scene.store.write { tx in
        [try scene.log.erase(index, field: "email", in: tx), try scene.log.erase(index, field: "email", in: tx)]
      }
      #expect(erased == [true, false])
      let after = try await scene.store.read { try scene.log.disclosures(of: index, in: $0) }
      #expect(after == [Redactable("phone", "+1 555 0100")])

      let publication = try await scene.publisher().publish()
      #expect(publication.problem == nil)
      #expect(try scene.verify().isIntact)
      for file in scene.files() { #expect(!String(decoding: try scene.read(file), as: UTF8.self).contains(sentinel)) }
      let record = try await scene.store.read { try scene.log.record(at: index, in: $0) }
      #expect(record?.entry.data["_sd"]?.arrayValue?.count == 2)
    }
  }

  @Test("the commitment is that of RFC 9901")
  func commitment() {
    // Section 4.2.3 of the RFC: the disclosure of family_name and its digest.
    let disclosure = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    #expect(Redactable.digest(ofDisclosure: disclosure) == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0")
    #expect(Redactable(disclosure: disclosure) == Redactable("family_name", "Möbius"))
  }

  @Test("entries that cannot be one are refused", arguments: 0..<8)
  func refused(number: Int) async throws {
    try await LogScene.with { scene in
      await #expect(throws: AWError.self) {
        try await scene.store.write { tx in
          var entry = LogScene.entry(0)
          var redactable: [Redactable] = []
          switch number {
          case 0: entry.kind = EvidenceKind("Wrong")
          case 1: entry.actor = ""
          case 2: entry.data = "text"
          case 3: entry.data = ["text": .string(String(repeating: "x", count: 65_535))]
          case 4: redactable = [Redactable("number", 1)]
          case 5: redactable = [Redactable("a", 1), Redactable("a", 2)]
          case 6: entry.data = ["_dropped": 1]
          default: entry.at = Timestamp(millisecondsSince1970: .max / 2)
          }
          try scene.log.append(entry, redactable: redactable, in: tx)
        }
      }
      let head = try await scene.store.read { try scene.log.head(in: $0) }
      #expect(head.size == 0)
    }
  }
}
