import Basics
import Foundation
import Testing

@testable import Evidence

@Suite("Signed envelopes")
struct EnvelopeTests {
  private let document = Array(#"{"a":1}"#.utf8)

  @Test("what is signed is the specification's own example")
  func example() {
    let signed = Envelope.preAuthentication("http://example.com/HelloWorld", Array("hello world".utf8))
    #expect(String(decoding: signed, as: UTF8.self) == "DSSEv1 29 http://example.com/HelloWorld 11 hello world")
  }

  @Test("the signers are those whose signature is right, whatever the hints say")
  func signers() throws {
    let (ada, eve) = (try ApproverKey.make(name: "ada"), try ApproverKey.make(name: "eve"))
    let keys = [ada.verifierKey, eve.verifierKey]
    let envelope = try Envelope(signing: document, by: [ada])
    #expect(envelope.document == document)
    #expect(envelope.signers(among: keys) == [ada.verifierKey])
    #expect(envelope.signers(among: [eve.verifierKey]) == [])
    #expect(envelope.signers(among: []) == [])
    #expect(try Envelope(signing: document, by: [ada, eve]).signers(among: keys) == keys)
    // A key of the same name is another key.
    #expect(envelope.signers(among: [try ApproverKey.make(name: "ada").verifierKey]) == [])
    #expect(try JSONValue(encoding: envelope).decode(Envelope.self) == envelope)
  }

  @Test("a changed type, document or signature has no signers")
  func changed() throws {
    let ada = try ApproverKey.make(name: "ada")
    let keys = [ada.verifierKey]
    let envelope = try JSONValue(encoding: try Envelope(signing: document, by: [ada])).objectValue ?? [:]
    func signers(_ name: String, _ value: JSONValue) throws -> Int {
      try JSONValue.object(envelope.merging([name: value]) { $1 }).decode(Envelope.self).signers(among: keys).count
    }
    #expect(try signers("payloadType", "application/json") == 0)
    #expect(try signers("payload", .string(Data(#"{"a":2}"#.utf8).base64EncodedString())) == 0)
    #expect(try signers("payload", "not base64") == 0)
    #expect(try signers("signatures", []) == 0)
    let one = try #require(envelope["signatures"]?[0])
    #expect(try signers("signatures", .array([one])) == 1)
    #expect(try signers("signatures", .array(Array(repeating: one, count: Envelope.signaturesMax + 1))) == 0)
    for bad in ["", "AAAA", String(repeating: "A", count: 88)] {
      #expect(try signers("signatures", [["keyid": "ada", "sig": .string(bad)]]) == 0)
    }
  }

  @Test("a key reads back from its file, and no other text is one")
  func keys() throws {
    let ada = try ApproverKey.make(name: "ada")
    let again = try ApproverKey(ada.text)
    #expect(again.verifierKey == ada.verifierKey)
    #expect(try Envelope(signing: document, by: [again]).signers(among: [ada.verifierKey]).count == 1)
    #expect(EvidenceVerifierKey(ada.verifierKey.text) == ada.verifierKey)
    let text = ada.text.withText { $0 }
    for bad in ["", "PRIVATE+KEY", ada.verifierKey.text, text.replacing("+ada+", with: "+eve+"), text + "A"] {
      #expect(throws: AWError(.usage, "", next: "")) { _ = try ApproverKey(Secret(bad)) }
    }
    #expect(throws: AWError(.usage, "", next: "")) { _ = try ApproverKey.make(name: "a b") }
    #expect("\(ada.text)" == "<secret>")
  }

  @Test("a statement is canonical, so that two who make the same one sign the same bytes")
  func statement() throws {
    let statement = Statement(
      subject: [.init(name: "gate/1", sha256: "00")], predicateType: "urn:x", predicate: ["b": 1, "a": 2])
    #expect(
      String(decoding: try statement.bytes, as: UTF8.self)
        == #"{"_type":"https://in-toto.io/Statement/v1","predicate":{"a":2,"b":1},"predicateType":"urn:x","#
        + #""subject":[{"digest":{"sha256":"00"},"name":"gate/1"}]}"#)
  }
}
