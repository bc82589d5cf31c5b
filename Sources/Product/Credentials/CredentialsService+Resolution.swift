import Access
import Basics
import Events
import Evidence
import Fleet
import Link
import Logging
import OpenClaw
import Store

extension EvidenceKind {
  public static let credentialCrossOrgAsked = EvidenceKind("credential.cross-org-asked")
}

extension EventType {
  public static let credentialCrossOrgAsked = EventType("aw.credential.cross-org-asked")
}

/// Values on their way to the Instances of their Org.
extension CredentialsService {
  /// Answers an Instance that asks for secrets, through the Connector of its Host. What cannot be read now is left out.
  public func answer(_ question: SecretQuestion, from host: HostID) async -> SecretAnswer {
    do {
      return try await resolve(question, from: host)
    } catch {
      logger.warning(
        "an Instance's secrets could not be resolved",
        metadata: ["instance": "\(question.instance)", "host": "\(host)", "error": "\(error)"])
      return SecretAnswer(number: question.number, values: [:], absent: [])
    }
  }

  private func resolve(_ question: SecretQuestion, from host: HostID) async throws -> SecretAnswer {
    guard question.ids.count <= SecretLimits.idsMax else {
      return SecretAnswer(number: question.number, values: [:], absent: [])
    }
    let (trust, now) = (trust, clock.now)
    let found = try await store.read { tx -> (instance: Instance, findings: [String: SecretLookup.Finding])? in
      guard let instance = try FleetRecords.instance(question.instance, in: tx), instance.host == host,
        let org = try FleetRecords.org(instance.org, in: tx)
      else { return nil }
      // While one version takes another's place, Instances still ask for either. What needs a gate is not there while
      // none is open, and neither is what is frozen.
      let credentials = try (CredentialsRecords.all(of: org.id, in: tx) + SpareRecords.all(of: org.id, in: tx))
        .filter {
          try Self.isOpen($0, trust, at: now, in: tx)
            && IntakeRecords.freeze(of: $0.surface, org.id, in: tx)?.version != $0.version
        }
      return (
        instance,
        Dictionary(
          question.ids.map { ($0, SecretLookup.finding(for: $0, of: org.slug, among: credentials)) },
          uniquingKeysWith: { first, _ in first })
      )
    }
    // An Instance that is not on this Host has nothing to ask there.
    guard let found else {
      logger.warning(
        "a Host asks for an Instance that it does not have",
        metadata: ["instance": "\(question.instance)", "host": "\(host)"])
      return SecretAnswer(number: question.number, values: [:], absent: question.ids)
    }
    let foreign = found.findings.filter { $0.value == .foreign }.keys.sorted()
    if !foreign.isEmpty { try await recordForeign(foreign, asked: found.instance, on: host) }
    var absent = found.findings.filter { $0.value == .absent }.map(\.key) + foreign
    let own = found.findings.compactMap { id, finding in
      if case .own(let credential) = finding { (id: id, credential: credential) } else { nil }
    }
    let readings = await withTaskGroup(of: (String, Reading).self) { group in
      for (id, credential) in own { group.addTask { (id, await read(credential)) } }
      return await group.reduce(into: [String: Reading]()) { $0[$1.0] = $1.1 }
    }
    var (values, bytes): ([String: Secret], Int) = ([:], 0)
    var given: [Credential] = []
    for (id, credential) in own {
      switch readings[id] {
      case .value(let value):
        bytes += value.withBytes { $0.count }
        guard bytes <= SecretLimits.answerBytesMax else { continue }
        values[id] = value
        given.append(credential)
      case .missing: absent.append(id)
      case .unreadable, nil: break
      }
    }
    try await noteResolved(given, by: found.instance)
    return SecretAnswer(number: question.number, values: values, absent: absent)
  }

  private enum Reading: Sendable {
    case value(Secret)
    case missing
    case unreadable
  }

  private func read(_ credential: Credential) async -> Reading {
    do {
      let value = try await vaults.source(credential.place.vault).read(credential.place.key)
      // What somebody else keeps can change behind AW's back; then it is no longer what was looked at.
      guard fingerprinter.fingerprint(of: value) == credential.fingerprint else {
        logger.warning(
          "a vault holds another value than was recorded",
          metadata: ["reference": "\(credential.reference.ref)", "vault": "\(credential.place.vault)"])
        return .missing
      }
      return .value(value)
    } catch let error as AWError where error.code == .vaultMissing {
      return .missing
    } catch {
      logger.warning(
        "a credential could not be read for an Instance",
        metadata: ["reference": "\(credential.reference.ref)", "error": "\(error)"])
      return .unreadable
    }
  }

  private func noteResolved(_ given: [Credential], by instance: Instance) async throws {
    guard !given.isEmpty else { return }
    let at = clock.now
    let note = Credential.Resolution(at: at, by: "instance/\(instance.slug)")
    try await store.write { tx in
      for credential in given { try CredentialsRecords.save(note, of: credential, in: tx) }
    }
  }

  /// An Instance asks for what is another Org's: somebody wrote it into its configuration.
  private func recordForeign(_ ids: [String], asked instance: Instance, on host: HostID) async throws {
    let now = clock.now
    let shown = ids.prefix(Self.foreignShownMax).map { JSONValue.string($0) }
    try await store.write { [evidence, outbox] tx in
      let (org, place) = (
        try FleetRecords.org(instance.org, in: tx)?.slug, try FleetRecords.host(host, in: tx)?.slug
      )
      try evidence.append(
        EvidenceEntry(
          kind: .credentialCrossOrgAsked, at: now, actor: "system/connector",
          subject: EvidenceSubject(type: "instance", id: instance.id.text), org: instance.org.text,
          data: ["ids": .array(Array(shown)), "count": .integer(Int64(ids.count)), "host": .string(host.text)]),
        in: tx)
      // Told once an hour of each Instance, however often it asks.
      let hour = now.millisecondsSince1970 / 3_600_000
      try outbox.append(
        Event(
          id: "instance/\(instance.id)/cross-org/\(hour)", type: .credentialCrossOrgAsked,
          subject: "instance/\(instance.id)", time: now, org: instance.org.text, severity: .warning, condition: nil,
          title: "\(instance.slug) asked for a credential of another Org, and was told that there is none.",
          data: [
            "instance": .string(instance.slug.text), "host": .string(place?.text ?? ""),
            EventData.org: .string(org?.text ?? ""), EventData.page: .string("/instances/\(instance.slug)"),
            "ids": .array(Array(shown)),
          ]), in: tx)
    }
  }

  private static let foreignShownMax = 16

  // MARK: - Configuration

  /// The credentials of an Org, as its Instances' configuration names them.
  public func collected(of org: OrgID, in tx: Transaction) throws -> [CollectedSecret] {
    try CredentialsRecords.all(of: org, in: tx).map { credential in
      // Only fixtures have a place to be asked at: of a vendor's own models this release knows none.
      let path = credential.reference.kind == .fixture ? credential.surface.completions : nil
      return CollectedSecret(
        path: credential.surface.rawValue, ref: credential.reference.ref,
        completions: path.flatMap { courier.vendors?.address(of: credential.surface, $0) },
        settings: credential.settings)
    }
  }
}
