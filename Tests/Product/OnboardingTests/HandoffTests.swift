import Basics
import Evidence
import Fleet
import Foundation
import Link
import TestSupport
import Testing

@testable import Onboarding

@Suite("The handoff")
struct HandoffTests {
  private static let grace = Result { try ApproverKey.make(name: "grace") }
  private static let ada = Result { try ApproverKey.make(name: "ada") }

  private static func handoff(_ edit: (inout [HandoffLine]) -> Void = { _ in }) throws -> Handoff {
    let answers = ["channel-accounts": "ours", "contacts": "page 3", "data-and-backups": "fra-1"]
    let reasons = ["linked-devices": "none", "operator-access": "nobody"]
    var lines =
      [HandoffLine.checked("first-run", "It passed", ["passed": true])]
      + HandoffQuestion.allCases.map { $0.line(answers, reasons) }
    edit(&lines)
    let fact = CredentialFact(surface: "a", title: "key of a", reference: "a#v1", status: .valid, problem: nil)
    return Handoff(
      org: try Slug("acme"), contactName: "Ada", contactEmail: "ada@example.com", instance: try Slug("acme-main"),
      desired: "sha256:" + String(repeating: "ab", count: 32), baseline: "aw-baseline/strict@1", at: Sample.now,
      log: .init(size: 7, root: "root"), lines: lines,
      duties: Handoff.duties([fact], BaselineChoice(Baseline.usual), at: Sample.now),
      operatorSees: Handoff.operatorSees,
      signers: [
        .init(role: .operator, name: "Grace", key: try grace.get().verifierKey.text),
        .init(role: .contact, name: "Ada", key: try ada.get().verifierKey.text),
      ])
  }

  private static func file(_ handoff: Handoff, by keys: [ApproverKey]) throws -> [UInt8] {
    Array(try HandoffVerification.text(Envelope(signing: try handoff.statement.bytes, by: keys)).utf8)
  }

  private static func refused(_ bytes: [UInt8], _ pinned: [HandoffRole: String] = [:]) -> Bool {
    do {
      _ = try HandoffVerification.read(bytes, pinned: pinned)
      return false
    } catch let error as AWError {
      return error.code == .handoffRefused
    } catch {
      return false
    }
  }

  @Test("each of both signs, in either order, and one file comes of it that verifies")
  func signing() throws {
    let (grace, ada) = (try Self.grace.get(), try Self.ada.get())
    let bare = try Self.file(try Self.handoff(), by: [])
    #expect(try HandoffVerification.read(bare).report.signed.isEmpty)
    let first = try HandoffVerification.sign(bare, with: ada)
    #expect(first.report.signed == [.contact] && !first.report.isComplete)
    let whole = try HandoffVerification.sign(Array(first.text.utf8), with: grace)
    let other = try HandoffVerification.sign(
      Array(try HandoffVerification.sign(bare, with: grace).text.utf8), with: ada)
    #expect(whole.report.isComplete && whole.report == other.report)
    let (_, report) = try HandoffVerification.read(
      Array(whole.text.utf8), pinned: [.operator: grace.verifierKey.text, .contact: ada.verifierKey.text])
    let handoff = try Self.handoff()
    #expect(report.isComplete && report.document == first.report.document && report.handoff == handoff)
    let again = #expect(throws: AWError.self) { try HandoffVerification.sign(Array(whole.text.utf8), with: ada) }
    #expect(again?.code == .conflict)
    let stranger = #expect(throws: AWError.self) {
      try HandoffVerification.sign(bare, with: try ApproverKey.make(name: "ada"))
    }
    #expect(stranger?.code == .conflict)
  }

  @Test("every byte of the file that is changed, left out or doubled is found")
  func tampering() throws {
    let bytes = try Self.file(try Self.handoff(), by: [try Self.grace.get(), try Self.ada.get()])
    #expect(try HandoffVerification.read(bytes).report.isComplete)
    var random = Seeded(state: 11)
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= UInt8(1 << Int.random(in: 0..<8, using: &random))
      // A signature's hint is no secret and not signed, but it has to name the key.
      #expect(Self.refused(changed), "byte \(index)")
    }
    for index in stride(from: 0, to: bytes.count, by: 7) {
      var (shorter, longer) = (bytes, bytes)
      shorter.remove(at: index)
      longer.insert(bytes[index], at: index)
      #expect(Self.refused(shorter) && Self.refused(longer) && Self.refused(Array(bytes[..<index])), "at \(index)")
    }
  }

  @Test("whatever the document says, saying it otherwise takes both signatures away")
  func meaning() throws {
    let (grace, ada) = (try Self.grace.get(), try Self.ada.get())
    let envelope = try Envelope(signing: try Self.handoff().statement.bytes, by: [grace, ada])
    let predicate = try JSONValue(encoding: try Self.handoff())
    var edits = 0
    func everyLeaf(_ value: JSONValue, _ rebuild: (JSONValue) -> JSONValue) throws {
      switch value {
      case .object(let members):
        for (key, member) in members {
          try everyLeaf(member) { changed in rebuild(.object(members.merging([key: changed]) { $1 })) }
        }
      case .array(let items):
        for (index, item) in items.enumerated() {
          try everyLeaf(item) { changed in
            var copy = items
            copy[index] = changed
            return rebuild(.array(copy))
          }
        }
      default:
        let other: JSONValue = value.stringValue.map { .string($0 + "x") } ?? (value == .bool(true) ? false : 8)
        let statement = Statement(
          subject: [.init(name: "aw/orgs/acme/instances/acme-main", sha256: String(repeating: "ab", count: 32))],
          predicateType: Handoff.predicateType, predicate: rebuild(other))
        let forged = try JSONValue(encoding: envelope)
          .setting(.string(Data(try statement.bytes).base64EncodedString()), at: "payload")
        #expect(Self.refused(Array((forged.indented + "\n").utf8)), "\(value)")
        edits += 1
      }
    }
    try everyLeaf(predicate) { $0 }
    #expect(edits > 40)
  }

  @Test("signatures of others, too few keys, and answers that are none are refused")
  func forgery() throws {
    let (grace, ada) = (try Self.grace.get(), try Self.ada.get())
    let stranger = try ApproverKey.make(name: "ada")
    let handoff = try Self.handoff()
    #expect(Self.refused(try Self.file(handoff, by: [grace, stranger])))
    #expect(Self.refused(try Self.file(handoff, by: [grace, ada, stranger])))
    #expect(Self.refused(try Self.file(handoff, by: [ada, grace])), "in the order of the signers")
    #expect(Self.refused(try Self.file(handoff, by: [grace, grace])))
    let whole = try Self.file(handoff, by: [grace, ada])
    #expect(Self.refused(whole, [.contact: stranger.verifierKey.text]))
    // Who makes up a whole document with keys of their own is found by the keys that were noted, and by nothing else.
    #expect(!Self.refused(whole))
    for edit: (inout [HandoffLine]) -> Void in [
      { $0.removeLast() }, { $0.append($0[0]) }, { $0[0].seen = ["passed": false] }, { $0[0].evidence = nil },
      { $0[1].statement = nil }, { $0[1].statement = "" }, { $0[1].by = nil }, { $0[2].reason = nil },
      { $0[1] = HandoffQuestion.channelAccounts.line([:], [:]) },
    ] {
      #expect(Self.refused(try Self.file(try Self.handoff(edit), by: [grace, ada])))
    }
  }
}
