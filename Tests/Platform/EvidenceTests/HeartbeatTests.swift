import Basics
import Foundation
import Store
import Synchronization
import TestSupport
import Testing

@testable import Evidence

@Suite("Heartbeats and their gaps")
struct HeartbeatTests {
  struct Case: Sendable, CustomStringConvertible {
    let description: String
    /// Source, number, minute, phase.
    let beats: [(String, Int64, Int, EvidenceBeat.Phase)]
    let newest: Int
    /// Source, from minute, to minute, missing, whether nothing came afterwards.
    let gaps: [(String, Int?, Int, Int64, Bool)]
    /// Of which of the gaps another control plane said that this one is gone.
    let lost: Set<Int>

    init(
      _ description: String, _ beats: [(String, Int64, Int, EvidenceBeat.Phase)], newest: Int,
      gaps: [(String, Int?, Int, Int64, Bool)] = [], lost: Set<Int> = []
    ) {
      (self.description, self.beats, self.newest) = (description, beats, newest)
      (self.gaps, self.lost) = (gaps, lost)
    }

    var found: [EvidenceBeat] {
      beats.map {
        EvidenceBeat(source: $0.0, number: $0.1, at: HeartbeatTests.at($0.2), everySeconds: 3_600, phase: $0.3)
      }
    }
  }

  static func at(_ minute: Int) -> Timestamp { LogScene.start.advanced(by: .seconds(minute * 60)) }

  static let cases = [
    Case("a log without heartbeats has no gap", [], newest: 10_000),
    Case("one each hour", [("a", 1, 0, .began), ("a", 2, 60, .goesOn), ("a", 3, 120, .goesOn)], newest: 180),
    Case("an hour and a half is allowed", [("a", 1, 0, .began), ("a", 2, 90, .goesOn)], newest: 180),
    Case(
      "a minute more is not", [("a", 1, 0, .began), ("a", 2, 91, .goesOn)], newest: 99, gaps: [("a", 0, 91, 0, false)]),
    Case("a clean stop expects nothing", [("a", 1, 0, .began), ("a", 2, 9, .ended)], newest: 9_000),
    Case("nor until the next start", [("a", 1, 0, .began), ("a", 2, 9, .ended), ("a", 3, 900, .began)], newest: 900),
    Case("a crash that was over soon is none", [("a", 1, 0, .began), ("a", 2, 5, .began)], newest: 20),
    Case(
      "a crash that was not", [("a", 1, 0, .began), ("a", 2, 500, .began)], newest: 520, gaps: [("a", 0, 500, 0, false)]
    ),
    Case(
      "the end of the log, by its newest entry", [("a", 1, 0, .began)], newest: 200, gaps: [("a", 0, 200, 0, true)]),
    Case(
      "numbers that are not there, in time as they are", [("a", 1, 0, .began), ("a", 4, 60, .goesOn)], newest: 60,
      gaps: [("a", 0, 60, 2, false)]),
    Case(
      "and after an end", [("a", 1, 0, .ended), ("a", 3, 60, .began)], newest: 60, gaps: [("a", 0, 60, 1, false)]),
    Case("the first is not there", [("a", 2, 0, .goesOn)], newest: 0, gaps: [("a", nil, 0, 1, false)]),
    Case(
      "a clock that went back, and a number again", [("a", 2, 60, .goesOn), ("a", 1, 0, .began)], newest: 10,
      gaps: [("a", nil, 60, 1, false)]),
    Case(
      "each control plane by itself",
      [("b", 1, 0, .began), ("a", 1, 0, .began), ("a", 2, 60, .goesOn), ("a", 3, 120, .ended)], newest: 130,
      gaps: [("b", 0, 130, 0, true)]),
    Case(
      "killed, and another one said so", [("a", 1, 0, .began), ("a", 0, 1, .lost)], newest: 9_000,
      gaps: [("a", 0, 1, 0, false)], lost: [0]),
    Case(
      "killed, said to be so, and back as if it had begun",
      [("a", 1, 0, .began), ("a", 2, 60, .goesOn), ("a", 0, 80, .lost), ("a", 3, 800, .began), ("a", 4, 860, .goesOn)],
      newest: 900, gaps: [("a", 60, 80, 0, false)], lost: [0]),
    Case(
      "back, and gone again without anybody who says so",
      [("a", 1, 0, .began), ("a", 0, 10, .lost), ("a", 2, 20, .began)], newest: 900,
      gaps: [("a", 0, 10, 0, false), ("a", 20, 900, 0, true)], lost: [0]),
    Case(
      "said twice, or of one that ended, or of one that nobody heard",
      [
        ("a", 1, 0, .began), ("a", 0, 10, .lost), ("a", 0, 20, .lost), ("b", 1, 20, .began), ("b", 2, 30, .ended),
        ("b", 0, 40, .lost), ("c", 0, 50, .lost),
      ],
      newest: 900, gaps: [("a", 0, 10, 0, false)], lost: [0]),
    Case(
      "a number that is not there after that", [("a", 1, 0, .began), ("a", 0, 10, .lost), ("a", 4, 20, .began)],
      newest: 30, gaps: [("a", 0, 10, 0, false), ("a", 0, 20, 2, false)], lost: [0]),
    Case(
      "two that are gone", [("b", 1, 0, .began), ("a", 1, 0, .began)], newest: 130,
      gaps: [("a", 0, 130, 0, true), ("b", 0, 130, 0, true)]),
  ]

  @Test("gaps are what the interval does not allow", arguments: cases)
  func table(test: Case) {
    let gaps = test.gaps.enumerated().map { index, gap in
      EvidenceGap(
        source: gap.0, since: gap.1.map(Self.at), until: Self.at(gap.2), missing: gap.3, isOpen: gap.4,
        cause: test.lost.contains(index) ? .lost : nil)
    }
    #expect(EvidenceGap.find(in: test.found, newest: Self.at(test.newest)) == gaps)
  }

  @Test("both verifiers find the same gaps, and integrity knows nothing of them", arguments: cases)
  func verified(test: Case) async throws {
    try await LogScene.with { scene in
      try await scene.store.write { [log = scene.log] tx in
        for beat in test.found {
          let isLost = beat.phase == .lost
          try log.append(
            EvidenceEntry(
              kind: isLost ? .nodeLost : .heartbeat, at: beat.at, actor: "system/evidence",
              data: isLost ? ["lostNode": .string(beat.source)] : beat.data), in: tx)
        }
        try log.append(EvidenceEntry(kind: .tested, at: Self.at(test.newest), actor: "user/zoë"), in: tx)
      }
      _ = try await scene.publisher().publish()
      let report = try scene.verify()
      #expect(report.isFine && report.completeness.verdict == .unknown)
      #expect(report.completeness.sources == Set(test.beats.filter { $0.3 != .lost }.map(\.0)).count)
      #expect(report.completeness.gaps?.map(\.source) == test.gaps.map(\.0))
      #expect(report.completeness.heartbeats.count == max(1, test.gaps.count))
      let python = try PythonVerifier.verify([scene.directory])
      #expect(python.exit == 0 && python.reports.map(Verdict.init) == [Verdict(report)], "\(python.reports)")
    }
  }

  @Test(
    "what is said of heartbeats is a sentence for one and for many",
    arguments: [
      (0, ["There is no heartbeat of a control plane in it."]),
      (1, ["The heartbeats of 1 control plane have no gap."]),
      (2, ["The heartbeats of 2 control planes have no gap."]),
    ])
  func words(sources: Int, words: [String]) {
    let beats = (0..<sources).map {
      EvidenceBeat(source: "\($0)", number: 1, at: Self.at(0), everySeconds: 3_600, phase: .began)
    }
    var completeness = EvidenceCompleteness.unknown
    completeness.look(at: beats, newest: Self.at(1))
    #expect(completeness.heartbeats == words)
  }

  @Test("a gap says how it ended")
  func ends() {
    func words(_ phases: [(Int, EvidenceBeat.Phase)]) -> [String] {
      var completeness = EvidenceCompleteness.unknown
      completeness.look(
        at: phases.enumerated().map { index, phase in
          EvidenceBeat(
            source: "a", number: Int64(index + 1), at: Self.at(phase.0), everySeconds: 3_600, phase: phase.1)
        }, newest: Self.at(500))
      return completeness.heartbeats
    }
    let start = "The control plane \("a".quoted) has a gap from \(Self.at(0)) to "
    #expect(words([(0, .began)]) == [start + "\(Self.at(500)), which is the newest entry."])
    #expect(words([(0, .began), (9, .lost)]) == [start + "\(Self.at(9)), when another one found it gone."])
    #expect(words([(0, .began), (450, .began)]) == [start + "\(Self.at(450))."])
  }

  @Test("of a log that is not intact no gap is told, nor are heartbeats that nobody can have written heard")
  func notTold() async throws {
    try await LogScene.with { scene in
      try await scene.store.write { [log = scene.log] tx in
        for every: Int64 in [0, -1, .max] {
          let data: JSONValue = ["node": "a", "number": 1, "everySeconds": .integer(every), "phase": "began"]
          try log.append(EvidenceEntry(kind: .heartbeat, at: Self.at(0), actor: "zoë", data: data), in: tx)
        }
      }
      _ = try await scene.publisher().publish()
      #expect(try scene.verify().completeness.sources == 0)
      let python = try PythonVerifier.verify([scene.directory])
      #expect(python.reports.map(\.completeness.sources) == [0])
      try scene.edit("tile/entries/000.p/3", entry: 1, replacing: "zoë", with: "zoé")
      let report = try scene.verify()
      #expect(!report.isIntact && report.completeness.gaps == nil && report.completeness.heartbeats == [])
    }
  }

  @Test("a control plane counts its heartbeats over restarts, and another one counts its own")
  func counted() async throws {
    try await LogScene.with { scene in
      let minute = Mutex(0)
      let clock = WallClock { minute.withLock { Self.at($0) } }
      func heartbeat(_ node: String) -> EvidenceHeartbeat {
        EvidenceHeartbeat(
          node: node, name: "one", log: scene.log, store: scene.store, clock: clock, logger: TestStores.logger)
      }
      try await heartbeat("a").begin()
      await heartbeat("a").end()
      try await heartbeat("b").begin()
      // As after a start of the process.
      minute.withLock { $0 = 300 }
      try await heartbeat("a").begin()
      let records = try await scene.store.read { [log = scene.log] tx in
        try log.list(limit: 10, filter: EvidenceFilter(kind: .heartbeat), in: tx).reversed().map { $0 }
      }
      let beats = records.compactMap { EvidenceBeat($0.entry) }
      #expect(beats.map(\.number) == [1, 2, 1, 3] && beats.map(\.source) == ["a", "a", "b", "a"])
      #expect(beats.map(\.phase) == [.began, .ended, .began, .began] && beats.allSatisfy { $0.everySeconds == 3_600 })
      #expect(records.allSatisfy { $0.entry.subject?.type == "node" && $0.entry.subject?.slug == "one" })
      _ = try await scene.publisher().publish()
      #expect(try scene.verify().completeness.gaps?.map(\.source) == ["b"])
    }
  }
}
