import Access
import Basics
import Events
import Evidence
import Fleet
import Link
import Logging
import OpenClaw
import Store
import Vault

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
      let lookup = SecretLookup(
        org: org.slug, instance: instance.id,
        siblings: Set(try FleetRecords.instances(of: org.id, in: tx).map(\.id)), credentials: credentials)
      return (
        instance,
        Dictionary(question.ids.map { ($0, lookup.finding(for: $0)) }, uniquingKeysWith: { first, _ in first })
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
    let own = found.findings.filter { $0.value != .absent && $0.value != .foreign }
    let readings = await withTaskGroup(of: (String, Reading).self) { group in
      for (id, finding) in own { group.addTask { (id, await read(id, finding)) } }
      return await group.reduce(into: [String: Reading]()) { $0[$1.0] = $1.1 }
    }
    var (values, bytes): ([String: Secret], Int) = ([:], 0)
    var given: [Credential] = []
    for (id, finding) in own {
      switch readings[id] {
      case .value(let value):
        bytes += value.withBytes { $0.count }
        guard bytes <= SecretLimits.answerBytesMax else { continue }
        values[id] = value
        if case .own(let credential) = finding { given.append(credential) }
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

  private func read(_ id: String, _ finding: SecretLookup.Finding) async -> Reading {
    switch finding {
    case .own(let credential): return await read(credential)
    case .gatewayToken: return await readOwn(id)
    case .absent, .foreign: return .missing
    }
  }

  /// What AW made for an Instance lies in the sealed file, by the name that the Instance asks for.
  private func readOwn(_ id: String) async -> Reading {
    do {
      return try await sealed.find(try SecretReference(id)).map { Reading.value($0) } ?? .missing
    } catch {
      logger.warning(
        "an Instance's own secret could not be read", metadata: ["reference": "\(id)", "error": "\(error)"])
      return .unreadable
    }
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

  /// The credentials of an Org, as its Instances' configuration names them now.
  public func collected(of org: OrgID, in tx: Transaction) throws -> [CollectedSecret] {
    try Self.standings(of: org, trust, at: clock.now, in: tx).map { standing in
      let credential = standing.credential
      // What would not be resolved would keep releases before July 2026 from starting at all.
      let isResolved = standing.status != .gateClosed && standing.status != .frozen
      return CollectedSecret(
        path: credential.surface.rawValue, ref: credential.reference.ref,
        completions: isResolved ? courier.completions(of: credential) : nil,
        settings: credential.settings, isFixture: credential.reference.kind == .fixture, hindrance: standing.hindrance)
    }
  }
}

extension CredentialStanding {
  /// Why a channel is not to be switched on with it; nil when it may be. What was found good once stays good for that:
  /// a restart is no moment to take a channel away because nobody looked for a month.
  var hindrance: String? {
    // OpenClaw would send it to the real vendor.
    if credential.reference.kind == .fixture { return "its credential is a fixture, which no vendor knows" }
    switch status {
    case .valid, .expired, .shapeOnly: return nil
    case .present: return "nobody has validated its credential yet"
    case .invalid: return "its credential is not good"
    case .indeterminate: return "nothing is proven of its credential"
    case .gateClosed: return "no gate allows its credential now"
    case .frozen: return "its credential is frozen"
    case .shared: return "its credential is another Org's too"
    }
  }
}
