import Basics
import Evidence
import Fleet
import Foundation

/// Whom a deployment lets open gates. Without keys no gate is ever accepted.
public struct GateTrust: Sendable, Equatable {
  /// The name of this deployment, as gates give it.
  public let deployment: String
  public let approvers: [EvidenceVerifierKey]

  public init(deployment: String, approvers: [EvidenceVerifierKey]) {
    (self.deployment, self.approvers) = (deployment, approvers)
  }

  /// Reads a file of approvers' keys: one a line, as 'aw gate keygen' prints it; `#` begins a comment.
  ///
  /// - Throws: `gateTrust` with the line that is no key.
  public static func approvers(parsing text: String) throws(AWError) -> [EvidenceVerifierKey] {
    var keys: [EvidenceVerifierKey] = []
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let line = line.prefix { $0 != "#" }.trimmingCharacters(in: .whitespaces)
      if line.isEmpty { continue }
      guard let key = EvidenceVerifierKey(line) else {
        throw AWError(
          .gateTrust, "Line \(number + 1) of the file of approvers is no key.",
          next: "Give one key a line, as 'aw gate keygen' prints it: name+keyid+base64.")
      }
      guard !keys.contains(where: { $0.name == key.name }), keys.count < GateLimits.approversMax else {
        throw AWError(
          .gateTrust,
          "Line \(number + 1) of the file of approvers is a second key of \(key.name.quoted), or one of "
            + "more than \(GateLimits.approversMax).", next: "Keep one key for each approver.")
      }
      keys.append(key)
    }
    return keys
  }
}

/// A signed decision that lets one Org hold credentials of a class, for named surfaces, until a date.
///
/// A value of it is proof that everything was checked just now: it comes from `GateCheck` alone, and is not kept.
public struct CredentialGate: Sendable, Equatable {
  public let id: GateID
  public let org: OrgID
  public let surface: CredentialSurface
  public let `class`: GatedClass
  public let until: Timestamp
  /// The name of the approver's key.
  public let approver: String

  fileprivate init(_ use: GateUse, _ request: GateRequest, approver: String) {
    (org, surface, `class`) = (use.org, use.surface, use.class)
    (id, until, self.approver) = (request.id, request.until, approver)
  }
}

/// What a gate is needed for.
struct GateUse: Sendable, Equatable {
  let org: OrgID
  let surface: CredentialSurface
  let `class`: GatedClass
}

/// Why a gate does not let something pass.
enum GateRefusal: Error, Equatable, Sendable {
  /// There is none for this Org.
  case missing
  case outOfScope
  case unsigned
  /// What was signed is not what is recorded.
  case altered
  /// No signature by a key that this deployment trusts; or it trusts none.
  case untrusted(trustsAny: Bool)
  /// The only right signature is of whoever asked.
  case selfSigned
  case revoked
  case expired
}

/// Whether gates let something pass: pure decisions.
enum GateCheck {
  /// Everything that has to be right, each time that a gate is used.
  static func open(
    _ record: GateRecord, for use: GateUse, _ trust: GateTrust, at now: Timestamp
  ) -> Result<CredentialGate, GateRefusal> {
    let request = record.request
    guard request.org == use.org, request.class == use.class, request.surfaces.contains(use.surface),
      request.deployment == trust.deployment
    else { return .failure(.outOfScope) }
    if record.revocation != nil { return .failure(.revoked) }
    guard let submission = record.submission else { return .failure(.unsigned) }
    if let refusal = refusal(of: submission.envelope, for: request, trust) { return .failure(refusal) }
    guard now < request.until else { return .failure(.expired) }
    let signers = signers(of: submission.envelope, for: request, trust)
    return .success(CredentialGate(use, request, approver: signers.map(\.name).sorted().joined(separator: ", ")))
  }

  /// The gate of an Org that lets something pass; if none does, why the one did not that comes nearest.
  ///
  /// - Parameter records: the Org's, newest first.
  static func choose(
    _ records: [GateRecord], for use: GateUse, _ trust: GateTrust, at now: Timestamp
  ) -> Result<CredentialGate, GateRefusal> {
    var refusals: [GateRefusal] = []
    for record in records {
      switch open(record, for: use, trust, at: now) {
      case .success(let gate): return .success(gate)
      case .failure(let refusal): refusals.append(refusal)
      }
    }
    return .failure(refusals.first { $0 != .outOfScope } ?? refusals.first ?? .missing)
  }

  /// Why an envelope does not approve a request; nil when it does.
  static func refusal(of envelope: Envelope, for request: GateRequest, _ trust: GateTrust) -> GateRefusal? {
    // The statement is made anew from the record and compared whole: type, digest and every member.
    guard envelope.payloadType == Envelope.statementType, let signed = envelope.document,
      let expected = try? request.statement.bytes, signed == expected
    else { return .altered }
    let signers = envelope.signers(among: trust.approvers)
    guard !signers.isEmpty else { return .untrusted(trustsAny: !trust.approvers.isEmpty) }
    return self.signers(of: envelope, for: request, trust).isEmpty ? .selfSigned : nil
  }

  /// The trusted ones who are not the requester.
  private static func signers(
    of envelope: Envelope, for request: GateRequest, _ trust: GateTrust
  ) -> [EvidenceVerifierKey] {
    envelope.signers(among: trust.approvers).filter { $0.name.lowercased() != request.requester.text }
  }
}

extension GateRefusal {
  func error(_ kind: CredentialClass, _ surface: CredentialSurface, _ org: Slug) -> AWError {
    let ask = "Ask for one: 'aw gate request \(org) --class \(kind.rawValue) --surface \(surface.rawValue) …'."
    func refused(_ code: ErrorCode, _ why: String, _ next: String? = nil) -> AWError {
      AWError(
        code, "A credential of the class \(kind.rawValue) is refused for \(surface.title) of '\(org)': \(why).",
        next: next ?? ask)
    }
    switch self {
    case .missing: return CredentialGuardrails.refusal(kind)
    case .outOfScope: return refused(.gateOutOfScope, "the gates of this Org are for other surfaces or classes")
    case .unsigned:
      return refused(
        .gateNotSigned, "its gate was asked for, and nobody has signed it",
        "An approver signs with 'aw gate sign'; then 'aw gate submit'.")
    case .altered: return refused(.gateAltered, "what was signed is not what the gate's record says")
    case .untrusted(let trustsAny):
      return refused(
        .gateUntrusted,
        trustsAny
          ? "no approver whom this deployment trusts signed its gate" : "this deployment trusts no approver's key",
        "Whoever runs the control plane names the approvers' keys: 'aw serve --approvers FILE'.")
    case .selfSigned:
      return refused(
        .gateSelfSigned, "whoever asked for its gate signed it", "Another approver has to sign: 'aw gate sign'.")
    case .revoked: return refused(.gateRevoked, "its gate was revoked")
    case .expired: return refused(.gateExpired, "its gate has ended")
    }
  }
}
