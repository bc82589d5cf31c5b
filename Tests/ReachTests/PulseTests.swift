import Basics
import Link
import NIOCore
import Testing

@testable import Connector

@Suite("What a Connector tells of its Instances")
struct PulseTests {
  static let ids = (0..<3).map { _ in InstanceID.make(at: Timestamp(millisecondsSince1970: 1_700_000_000_000)) }
  static let start = ContinuousClock.now

  static func states(_ phases: RunState.Phase...) -> [InstanceID: RunState] {
    Dictionary(uniqueKeysWithValues: zip(ids, phases).map { ($0, RunState(phase: $1, port: 1)) })
  }

  /// What was told, by the place of the Instance.
  static func told(_ heartbeat: Heartbeat?) -> [Int: InstanceFacts]? {
    heartbeat.map { heartbeat in
      var facts: [Int: InstanceFacts] = [:]
      for group in heartbeat.groups {
        for id in group.instances { facts[ids.firstIndex(of: id) ?? -1] = group.facts }
      }
      return facts
    }
  }

  @Test("all at first and at every interval, those that changed at once, nothing while all is as it was")
  func rhythm() {
    var ledger = PulseLedger(every: .seconds(15))
    let live = Dictionary(uniqueKeysWithValues: Self.ids.map { ($0, InstanceFacts.Answer.live) })
    let up = Self.states(.running, .running, .stopped)
    let well = InstanceFacts(phase: .running, answer: .live)
    let first = ledger.take(up, live, now: Self.start)
    #expect(Self.told(first) == [0: well, 1: well, 2: InstanceFacts(phase: .stopped)])
    #expect(first?.groups.count == 2, "those that look alike are told together")
    for second in 1..<15 {
      let nothing = ledger.take(up, [:], now: Self.start + .seconds(second))
      #expect(nothing == nil)
    }
    let all = ledger.take(up, [:], now: Self.start + .seconds(15))
    #expect(Self.told(all)?.count == 3)

    var crashed = up
    crashed[Self.ids[1]] = RunState(phase: .exited, exitCode: 137, outOfMemory: true)
    let crash = ledger.take(crashed, [:], now: Self.start + .seconds(16))
    #expect(Self.told(crash) == [1: InstanceFacts(phase: .exited, exitCode: 137, outOfMemory: true)])
    let known = ledger.take(crashed, [:], now: Self.start + .seconds(17))
    #expect(known == nil)
    #expect(ledger.due(up, now: Self.start + .seconds(17)).contains(Self.ids[1]), "what runs anew is asked at once")
    let back = ledger.take(up, [Self.ids[1]: .live], now: Self.start + .seconds(18))
    #expect(Self.told(back) == [1: well])
  }

  @Test("a port that answers is asked again after five seconds, one that does not after two, what is stopped never")
  func probes() {
    var ledger = PulseLedger(every: .seconds(15))
    let states = Self.states(.running, .running, .stopped)
    #expect(ledger.due(states, now: Self.start) == [Self.ids[0], Self.ids[1]].sorted())
    _ = ledger.take(states, [Self.ids[0]: .live, Self.ids[1]: .timeout], now: Self.start)
    #expect(ledger.due(states, now: Self.start + .seconds(1)) == [])
    #expect(ledger.due(states, now: Self.start + .seconds(2)) == [Self.ids[1]])
    #expect(ledger.due(states, now: Self.start + .seconds(5)) == [Self.ids[0], Self.ids[1]].sorted())
  }

  @Test("it reads on the link as it was written; more than 500 Instances are told in several messages, none left out")
  func wire() throws {
    let many = (0..<10_000).map { _ in InstanceID.make(at: Timestamp(millisecondsSince1970: 1_700_000_000_000)) }
    let heartbeat = Heartbeat(
      Dictionary(
        uniqueKeysWithValues: many.enumerated().map { number, id in
          (id, InstanceFacts(phase: .running, answer: InstanceFacts.Answer.allCases[number % 3]))
        }))
    let parts = heartbeat.parts()
    #expect(parts.flatMap { $0.groups.flatMap(\.instances) }.sorted() == many.sorted())
    for part in parts {
      #expect(part.groups.reduce(0) { $0 + $1.instances.count } <= LinkLimits.heartbeatInstancesMax)
      let bytes = try LinkCodec.encode(ControlMessage.heartbeat(part))
      #expect(bytes.readableBytes < 64 << 10)
      #expect(try LinkCodec.decode(ControlMessage.self, from: bytes) == .heartbeat(part))
    }
  }
}
