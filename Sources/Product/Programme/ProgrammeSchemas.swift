import Access
import Basics
import Web

/// How the API describes what it says of the programme.
enum ProgrammeSchemas {
  static let role = JSONSchema.oneOf(ProgrammeRole.allCases.map(\.rawValue))
  static let gate = JSONSchema.oneOf(GateKind.allCases.map(\.rawValue))
  static let scope = JSONSchema.oneOf(ActScope.allCases.map(\.rawValue))
  static let state = JSONSchema.oneOf(SequenceState.allCases.map(\.rawValue))
  static let digest: JSONValue = ["type": "string", "pattern": "^sha256:[0-9a-f]{64}$"]
  static let agent = JSONSchema.object([
    "id": JSONSchema.text, "model": JSONSchema.text, "prompt": JSONSchema.text,
  ])
  static let author = JSONSchema.object(["account": JSONSchema.text, "agent": agent], optional: ["agent"])

  static let envelope = JSONSchema.object([
    "payloadType": JSONSchema.text, "payload": JSONSchema.text,
    "signatures": JSONSchema.array(of: JSONSchema.object(["keyid": JSONSchema.text, "sig": JSONSchema.text])),
  ])

  static let packet = JSONSchema.object([
    "sequence": JSONSchema.slug, "number": JSONSchema.integer, "title": JSONSchema.text, "summary": JSONSchema.text,
    "objective": JSONSchema.text,
    "delivers": JSONSchema.array(
      of: JSONSchema.object(["phrase": JSONSchema.text, "proof": JSONSchema.text], optional: ["proof"])),
    "wontDo": JSONSchema.array(
      of: JSONSchema.object([
        "phrase": JSONSchema.text, "scopes": JSONSchema.array(of: scope), "unlessApproved": JSONSchema.bool,
      ])), "opens": JSONSchema.array(of: scope),
    "gates": JSONSchema.array(
      of: JSONSchema.object([
        "kind": gate, "title": JSONSchema.text, "signatures": JSONSchema.integer,
        "milestones": JSONSchema.array(
          of: JSONSchema.object(["id": JSONSchema.slug, "done": JSONSchema.text, "open": JSONSchema.text])),
      ])), "fixtures": JSONSchema.array(of: JSONSchema.text), "authors": JSONSchema.array(of: author),
  ])

  static let packets = JSONSchema.object([
    "deployment": JSONSchema.text, "digest": digest, "packet": packet,
    "former": JSONSchema.array(of: JSONSchema.object(["digest": digest, "packet": packet])),
  ])

  static let evidence = JSONSchema.object(
    ["uri": JSONSchema.text, "digest": digest, "at": JSONSchema.time, "author": author], optional: ["author"])

  static let claim = JSONSchema.object(
    [
      "text": JSONSchema.text, "basis": JSONSchema.oneOf(Claim.Basis.allCases.map(\.rawValue)),
      "holds": JSONSchema.bool, "milestone": JSONSchema.slug, "proof": JSONSchema.text,
      "evidence": JSONSchema.array(of: JSONSchema.integer),
    ], optional: ["milestone", "proof"])

  static let subject = JSONSchema.object(
    ["org": JSONSchema.slug, "instance": JSONSchema.slug], optional: ["instance"])

  static let proofs = JSONSchema.object([
    "sequence": JSONSchema.slug, "subject": subject, "checkpoint": JSONSchema.integer,
    "claims": JSONSchema.array(of: claim), "unbuilt": JSONSchema.array(of: JSONSchema.text),
  ])

  static let next = JSONSchema.object(
    [
      "kind": JSONSchema.oneOf(NextAct.Kind.allCases.map(\.rawValue)), "sequence": JSONSchema.slug, "gate": gate,
      "words": JSONSchema.text, "who": JSONSchema.text, "people": JSONSchema.array(of: JSONSchema.slug),
      "since": JSONSchema.time, "command": JSONSchema.text,
    ], optional: ["gate"])

  static let answer = JSONSchema.object(
    [
      "sequence": JSONSchema.slug, "change": JSONSchema.text, "state": state, "packet": digest,
      "header": JSONSchema.text, "next": next, "checkpoint": JSONSchema.integer, "warning": JSONSchema.id,
      "diff": JSONSchema.any,
    ], optional: ["next", "checkpoint", "warning", "diff"])

  /// The lines of a sequence are described by their names; `docs/programme.md` says what each means.
  static let sequence = JSONSchema.object(
    [
      "id": JSONSchema.slug, "number": JSONSchema.integer, "title": JSONSchema.text, "summary": JSONSchema.any,
      "state": state, "blockedBy": JSONSchema.array(of: JSONSchema.text), "packet": JSONSchema.any,
      "objective": JSONSchema.any, "delivers": JSONSchema.array(of: JSONSchema.any),
      "wontDo": JSONSchema.array(of: JSONSchema.any), "opens": JSONSchema.array(of: scope),
      "fixtures": JSONSchema.array(of: JSONSchema.text), "gates": JSONSchema.array(of: JSONSchema.any),
      "currentGate": gate, "next": next, "checkpoints": JSONSchema.array(of: JSONSchema.any),
      "gaps": JSONSchema.array(of: JSONSchema.integer), "supersededBy": JSONSchema.slug,
    ], optional: ["currentGate", "next", "supersededBy"])

  static let board = JSONSchema.object(
    [
      "deployment": JSONSchema.text, "at": JSONSchema.time, "header": JSONSchema.text, "current": JSONSchema.slug,
      "next": next,
      "runtimeWork": JSONSchema.object(["isAllowed": JSONSchema.bool, "words": JSONSchema.text]),
      "latestReview": JSONSchema.any, "sequences": JSONSchema.array(of: sequence),
      "warnings": JSONSchema.array(of: JSONSchema.any),
      "evidence": JSONSchema.object(
        ["entries": JSONSchema.integer, "hygiene": JSONSchema.any], optional: ["hygiene"]),
      "violations": JSONSchema.array(of: JSONSchema.any), "tasks": JSONSchema.array(of: JSONSchema.any),
      "since": JSONSchema.time,
      "changes": JSONSchema.array(
        of: JSONSchema.object([
          "at": JSONSchema.time, "sequence": JSONSchema.slug, "by": JSONSchema.text, "words": JSONSchema.text,
        ])),
    ], optional: ["current", "next", "runtimeWork", "latestReview", "since"])
}

/// The packet of a sequence as the API shows it: what an amendment starts from, and what a decision is about.
public struct PacketsView: Codable, Sendable {
  public struct Former: Codable, Sendable {
    public let digest: PacketDigest
    public let packet: Packet
  }

  /// Goes into each decision about it.
  public let deployment: String
  public let digest: PacketDigest
  public let packet: Packet
  /// The newest first.
  public let former: [Former]

  init?(_ packets: [Packet], _ deployment: String) {
    guard let packet = packets.last else { return nil }
    (self.deployment, digest, self.packet) = (deployment, packet.digest, packet)
    former = packets.dropLast().reversed().map { Former(digest: $0.digest, packet: $0) }
  }
}
