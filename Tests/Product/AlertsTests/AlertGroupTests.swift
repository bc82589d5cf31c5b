import Basics
import Events
import TestSupport
import Testing

@testable import Alerts

@Suite("When a group of alerts is told, and of what")
struct AlertGroupTests {
  typealias Scene = AlertScene
  let pace = AlertRoute.Pace(waitSeconds: 10, intervalSeconds: 120, repeatSeconds: 3_600)

  private func flush(_ group: inout AlertGroup, _ seconds: Int, muted: Set<String> = []) -> [NotifiedAlert] {
    group.flush(pace, at: Scene.at(seconds)) { muted.contains($0.key) }
  }

  @Test("the first alert waits for others, and they are told together")
  func together() {
    var group = AlertGroup()
    group.take(Scene.alert("a"), at: Scene.at(0))
    group.take(Scene.alert("b", opened: 5), at: Scene.at(5))
    #expect(group.due(pace) == Scene.at(10))
    #expect(flush(&group, 10).map(\.key) == ["a", "b"])
    #expect(group.due(pace) == Scene.at(3_610))
  }

  @Test("news after that waits for the interval")
  func interval() {
    var group = AlertGroup()
    group.take(Scene.alert("a"), at: Scene.at(0))
    _ = flush(&group, 10)
    group.take(Scene.alert("b", opened: 20), at: Scene.at(20))
    #expect(group.due(pace) == Scene.at(130))
    #expect(flush(&group, 130).map(\.key) == ["b"])
  }

  @Test("what opened and ended before anybody was told is told as one, with both times")
  func coalesced() {
    var group = AlertGroup()
    group.take(Scene.alert("a"), at: Scene.at(0))
    group.take(Scene.alert("a", resolved: 4), at: Scene.at(4))
    #expect(flush(&group, 10) == [Scene.alert("a", resolved: 4)])
    #expect(group.isEmpty && group.due(pace) == nil)
  }

  @Test("who was told of a beginning is told of the end, silenced or not")
  func endIsTold() {
    var group = AlertGroup()
    group.take(Scene.alert("a"), at: Scene.at(0))
    _ = flush(&group, 10)
    group.take(Scene.alert("a", resolved: 60), at: Scene.at(60))
    #expect(flush(&group, 130, muted: ["a"]) == [Scene.alert("a", resolved: 60)])
    #expect(group.isEmpty)
  }

  @Test("what is muted from its beginning to its end is never told")
  func mutedWhole() {
    var group = AlertGroup()
    group.take(Scene.alert("a"), at: Scene.at(0))
    #expect(flush(&group, 10, muted: ["a"]).isEmpty)
    group.take(Scene.alert("a", resolved: 60), at: Scene.at(60))
    #expect(flush(&group, 130, muted: ["a"]).isEmpty)
    #expect(group.isEmpty)
  }

  @Test("what is still open when nothing mutes it any more is told then")
  func unmuted() {
    var group = AlertGroup()
    group.take(Scene.alert("a"), at: Scene.at(0))
    #expect(flush(&group, 10, muted: ["a"]).isEmpty)
    #expect(group.due(pace) == Scene.at(130))
    #expect(flush(&group, 130).map(\.key) == ["a"])
  }

  @Test("what stays open is told again after the repeat time, and not before")
  func again() {
    var group = AlertGroup()
    group.take(Scene.alert("a"), at: Scene.at(0))
    _ = flush(&group, 10)
    #expect(flush(&group, 3_000).isEmpty)
    #expect(flush(&group, 3_610).map(\.key) == ["a"])
  }

  @Test("what got worse is told again")
  func worse() {
    var group = AlertGroup()
    group.take(Scene.alert("a"), at: Scene.at(0))
    _ = flush(&group, 10)
    group.take(Scene.alert("a"), at: Scene.at(20))
    #expect(flush(&group, 130).isEmpty)
    group.take(Scene.alert("a"), worse: true, at: Scene.at(140))
    #expect(flush(&group, 250).map(\.key) == ["a"])
  }

  /// Whatever happens in whatever order: a beginning that was told has its end told, once; nothing else is told twice
  /// within the repeat time.
  @Test("every told beginning gets its end, once, whatever is muted when", arguments: 1...60)
  func property(seed: UInt64) {
    var random = Seeded(state: seed)
    var group = AlertGroup()
    var open: [String: Int] = [:]
    var (begun, ended): ([String: Int], [String: Int]) = ([:], [:])
    for second in 0..<2_000 {
      let key = "k\(Int.random(in: 0..<6, using: &random))"
      if Int.random(in: 0..<20, using: &random) == 0 {
        if let opened = open.removeValue(forKey: key) {
          group.take(Scene.alert(key, opened: opened, resolved: second), at: Scene.at(second))
        } else {
          open[key] = second
          group.take(Scene.alert(key, opened: second), at: Scene.at(second))
        }
      }
      guard let due = group.due(pace), due <= Scene.at(second) else { continue }
      let muted = Set((0..<6).filter { _ in Bool.random(using: &random) }.map { "k\($0)" })
      for told in flush(&group, second, muted: muted) {
        let name = "\(told.key)@\(told.openedAt)"
        if told.resolvedAt == nil { begun[name, default: 0] += 1 } else { ended[name, default: 0] += 1 }
      }
    }
    for (key, opened) in open {
      group.take(Scene.alert(key, opened: opened, resolved: 2_001), at: Scene.at(2_001))
    }
    for told in flush(&group, 3_000) { ended["\(told.key)@\(told.openedAt)", default: 0] += 1 }
    #expect(group.isEmpty)
    #expect(begun.keys.allSatisfy { ended[$0] == 1 })
    #expect(ended.values.allSatisfy { $0 == 1 })
    #expect(begun.values.allSatisfy { $0 == 1 })
  }
}
