import Basics
import Events
import Evidence
import Testing

@testable import Alerts

@Suite("What a silence says on the timeline of an Instance")
struct SilenceStoryTests {
  static func entry(
    _ kind: EvidenceKind, _ matchers: Matchers, sort: Silence.Sort = .silence
  ) throws -> EvidenceEntry {
    let silence = Silence(
      id: .make(at: AlertScene.at(0)), sort: sort, matchers: matchers, startsAt: AlertScene.at(60),
      endsAt: AlertScene.at(7_260), reason: "The rack moves.", by: "user/1")
    return EvidenceEntry(kind: kind, at: AlertScene.at(0), actor: "user/1", data: .object(try silence.story))
  }

  @Test(
    "it concerns an Instance when alerts of that Instance can be among what it matches",
    arguments: [
      (nil, Matchers(), true), ("acme", Matchers(), true), ("beta", Matchers(), false),
      (nil, Matchers(subject: "instance/"), true),
      (nil, Matchers(subject: "instance/7"), true),
      (nil, Matchers(subject: "instance/7/status"), true),
      (nil, Matchers(subject: "instance/8"), false),
      (nil, Matchers(subject: "host/1"), false),
      (nil, Matchers(types: ["aw.instance.status-changed"]), true),
      (nil, Matchers(types: ["aw.host.link-lost"]), false),
      (nil, Matchers(severity: .critical), true),
    ])
  func concerns(org: String?, matchers: Matchers, takes: Bool) throws {
    var matchers = matchers
    matchers.org = try org.map { try Slug($0) }
    let line = SilenceStory.line(try Self.entry(.silenceMade, matchers), org: "acme", subject: "instance/7")
    #expect((line != nil) == takes)
  }

  @Test("it says from when until when and why, and that it was ended early")
  func words() throws {
    let made = try #require(
      SilenceStory.line(
        try Self.entry(.silenceMade, Matchers(), sort: .maintenance), org: "acme", subject: "instance/7"))
    func words(_ seconds: Int) -> String {
      String(AlertScene.at(seconds).description.prefix(16)).replacing("T", with: " ") + " UTC"
    }
    #expect(made.title == "A maintenance window mutes its alerts from \(words(60)) until \(words(7_260)).")
    #expect(made.reason == "The rack moves.")
    let ended = SilenceStory.line(try Self.entry(.silenceEnded, Matchers()), org: "acme", subject: "instance/7")
    #expect(ended?.title == "The silence of its alerts was ended early.")
  }

  @Test("an entry of an earlier AW, which did not record what was matched, says nothing")
  func earlier() {
    let entry = EvidenceEntry(
      kind: .silenceMade, at: AlertScene.at(0), actor: "user/1", data: ["matchers": "everything", "reason": "x"])
    #expect(SilenceStory.line(entry, org: "acme", subject: "instance/7") == nil)
  }
}
