import Access
import Basics
import Events
import Evidence
import Fleet
import Logging
import OpenClaw
import Store
import Vault
import Work

extension EvidenceKind {
  public static let credentialSet = EvidenceKind("credential.set")
  public static let credentialRemoved = EvidenceKind("credential.removed")
}

/// The acts on the credentials of Orgs. A value goes through here to a vault, and no way leads back to whoever asks.
public struct CredentialsService: Sendable {
  let acts: Acts
  let store: Store
  let sealed: Vault
  let vaults: CredentialVaults
  let evidence: EvidenceLog
  let outbox: EventOutbox
  let fingerprinter: Fingerprinter
  let courier: VendorCourier
  let trust: GateTrust
  let clock: WallClock
  let logger: Logger
  /// Told inside every act that changed how an Org's credentials stand: what follows is in the same transaction.
  let settled: Settled
  /// Told after every act that changed something, for live pages.
  let changed: @Sendable () -> Void

  /// The Org, who acted, the act's id and kind, and its time.
  public typealias Settled =
    @Sendable (OrgID, Actor, (id: ActID, kind: EvidenceKind), Timestamp, Transaction) throws -> Void

  /// - Parameters:
  ///   - vendors: nil when there are none: then no fixture is validated.
  ///   - egress: names the address by which questions to vendors leave; whoever has one name shares a budget.
  public init(
    acts: Acts, store: Store, sealed: Vault, vaults: CredentialVaults, fingerprinter: Fingerprinter,
    evidence: EvidenceLog, outbox: EventOutbox, vendors: FixtureVendors?, endpoints: VendorEndpoints = .published,
    egress: String = "default", trust: GateTrust, clock: WallClock, logger: Logger,
    settled: @escaping Settled = { _, _, _, _, _ in }, changed: @escaping @Sendable () -> Void = {}
  ) {
    self.acts = acts
    self.store = store
    self.sealed = sealed
    self.vaults = vaults
    self.evidence = evidence
    self.outbox = outbox
    self.fingerprinter = fingerprinter
    self.trust = trust
    courier = VendorCourier(
      vendors: vendors, endpoints: endpoints, budget: EgressBudget(store: store, clock: clock, egress: egress),
      clock: clock)
    self.settled = settled
    self.clock = clock
    self.logger = logger
    self.changed = changed
  }

  /// What an operator asks for. The value comes beside it.
  public struct SetRequest: Codable, Sendable {
    public var surface: String
    /// Nil is a fixture.
    public var `class`: String?
    /// With a key: the vault that holds the value already. Without one: the vault to put it into.
    public var vault: String?
    public var key: String?
    /// What belongs to the value and is no secret: see `CredentialSetting`. What is left out stays as it is.
    public var settings: [String: String]?
    /// The version that is to be replaced, 0 for none; nil replaces whatever is there.
    public var replacing: Int?

    public init(
      surface: String, class: String? = nil, vault: String? = nil, key: String? = nil,
      settings: [String: String]? = nil, replacing: Int? = nil
    ) {
      self.surface = surface
      self.class = `class`
      self.vault = vault
      self.key = key
      self.settings = settings
      self.replacing = replacing
    }
  }

  /// What another act adds to the setting of a credential, in its transaction.
  typealias Also = @Sendable (Transaction, inout ActContext, Credential) throws -> Void

  /// Sets a credential: puts the value that was given into a vault, or takes note of one that a vault holds already.
  ///
  /// - Parameter value: nil when `request` names a key.
  /// - Throws: `orgUnknown`, `surfaceUnknown`, `credentialClassRefused`, `credentialShape`, `credentialNotFixture`,
  ///   `conflict` when another version is there than was to be replaced, and what the vault says. Then nothing is kept.
  public func set(
    _ request: SetRequest, value: Secret?, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> Credential {
    try await set(request, value: value, org: slug, as: actor, dryRun: dryRun, also: { _, _, _ in })
  }

  func set(
    _ request: SetRequest, value: Secret?, org slug: Slug, as actor: Actor, dryRun: Bool = false,
    also: @escaping Also
  ) async throws -> Credential {
    let surface = try CredentialSurface(named: request.surface)
    let kind = try request.class.map { try CredentialClass(named: $0) } ?? .fixture
    let (org, present) = try await standing(slug, surface)
    let (act, taken, vault) = try await intake(
      request, value, kind, surface, org, .credentialSet, as: actor, dryRun: dryRun)
    let version = present + 1
    let fingerprint = fingerprinter.fingerprint(of: taken)
    let ref = try Credential.ref(org: org.slug, surface, version: version)
    let before = try await store.read { try CredentialsRecords.find(surface, of: org.id, in: $0) }
    let settings = try CredentialSetting.settle(
      request.settings ?? [:], for: surface, fixture: kind == .fixture ? Self.fixture(taken, surface) : nil,
      before: before)
    let made = try await placing(
      taken, key: request.key, in: vault, org: org.slug, surface, version, dryRun: dryRun
    ) { place in
      try await acts.perform(act, as: actor, dryRun: dryRun) { [trust] tx, context in
        let reference = try Self.reference(ref, kind, surface, of: org, trust, at: context.at, in: tx)
        try Self.check(request, surface, of: org.id, expected: present, in: tx)
        let credential = Credential(
          org: org.id, surface: surface, reference: reference, version: version, place: place,
          settings: settings, fingerprint: fingerprint, setBy: actor.text, setAt: context.at,
          lastResolved: place.isOwn ? nil : .init(at: context.at, by: "intake"),
          lastValidated: try CredentialsRecords.find(surface, of: org.id, in: tx)?.lastValidated)
        let freed = try Self.sharing(surface, of: org.id, in: tx)
        try CredentialsRecords.save(credential, in: tx)
        try thaw(surface, of: org.id, at: context.at, in: tx)
        Self.record(credential, in: &context)
        try also(tx, &context, credential)
        for org in [org.id] + freed { try settled(org, actor, (context.id, act.kind), context.at, tx) }
        context.afterCommit(changed)
        return credential
      }
    }
    if !dryRun, request.key == nil, let before { await removeEarlier(before.place) }
    return made
  }

  /// Forgets a credential, and removes the value from the vault if AW put it there.
  ///
  /// - Throws: `credentialUnknown`, and what the vault says; then it is forgotten all the same.
  public func remove(
    _ surface: CredentialSurface, org slug: Slug, as actor: Actor, dryRun: Bool = false
  ) async throws -> Credential {
    let (org, _) = try await standing(slug, surface)
    let act = Act(
      .credentialManage, kind: .credentialRemoved, subject: Self.subject(slug, surface), org: org.id.text,
      details: ["surface": .string(surface.rawValue)])
    let credential = try await acts.perform(act, as: actor, dryRun: dryRun) { tx, context in
      guard let credential = try CredentialsRecords.find(surface, of: org.id, in: tx) else {
        throw Self.unknown(surface, slug)
      }
      try Self.idle(surface, of: org.id, in: tx)
      let freed = try CredentialsRecords.sharing(credential, in: tx)
      try CredentialsRecords.remove(surface, of: org.id, at: context.at, in: tx)
      try thaw(surface, of: org.id, at: context.at, in: tx)
      Self.record(credential, in: &context)
      for org in [org.id] + freed { try settled(org, actor, (context.id, act.kind), context.at, tx) }
      context.afterCommit(changed)
      return credential
    }
    if !dryRun, credential.place.isOwn {
      try await vaults.keeper(credential.place.vault).destroy(credential.place.key)
    }
    return credential
  }

  /// Forgets values in the sealed file that no record names: what a crash between the two leaves.
  ///
  /// Call it before anybody can set one.
  public func forgetOrphanedValues() async throws {
    let places = try await store.read { try CredentialsRecords.places(in: $0) }
    let known = Set(places.filter { $0.vault == VaultSettings.sealed }.map(\.key))
    for reference in try await sealed.references() where reference.text.hasPrefix(SealedVault.prefix) {
      if !known.contains(reference.text) { try await sealed.delete(reference) }
    }
  }

  // MARK: - Parts

  /// The Org, and the newest version that its surface ever had.
  func standing(_ slug: Slug, _ surface: CredentialSurface) async throws -> (org: Org, version: Int) {
    try await store.read { tx in
      let org = try Self.org(slug, in: tx)
      return (org, try CredentialsRecords.version(surface, of: org.id, in: tx))
    }
  }

  /// The name of a fixture.
  static func fixture(_ value: Secret, _ surface: CredentialSurface) -> String? {
    value.withText { FixtureValue.name(in: $0, of: surface) }
  }

  /// What comes before any value is kept: the gate of its class, the right to do it, the value itself and its form.
  func intake(
    _ request: SetRequest, _ value: Secret?, _ kind: CredentialClass, _ surface: CredentialSurface, _ org: Org,
    _ evidence: EvidenceKind, as actor: Actor, dryRun: Bool
  ) async throws -> (act: Act, value: Secret, vault: String) {
    var details: [String: JSONValue] = ["surface": .string(surface.rawValue), "class": .string(kind.rawValue)]
    if let gated = kind.gated {
      let use = GateUse(org: org.id, surface: surface, class: gated)
      details["gate"] = try await gate(use, org.slug, details, evidence, as: actor, dryRun: dryRun)
    }
    try await allowed(actor)
    let vault = request.vault ?? vaults.writes
    let taken = try await take(value, request, vault)
    let refusal =
      kind == .fixture
      ? CredentialIntake.refusal(of: CredentialIntake.verdict(on: taken, for: surface), for: surface)
      : CredentialIntake.gatedRefusal(of: taken, for: surface)
    if let refusal { throw refusal }
    let act = Act(
      .credentialManage, kind: evidence, subject: Self.subject(org.slug, surface), org: org.id.text,
      details: .object(details), scopes: kind.scopes, namesGate: details["gate"] != nil)
    return (act, taken, vault)
  }

  /// Nothing else changes a credential while it is rotated.
  private static func idle(_ surface: CredentialSurface, of org: OrgID, in tx: Transaction) throws {
    guard let slug = try FleetRecords.org(org, in: tx)?.slug else { return }
    if try WorkRecords.isBusy("\(slug)/\(surface.rawValue)", in: tx) { throw WorkRecords.busy }
  }

  /// The gate that is open for something, before any value is looked at.
  ///
  /// - Throws: what refuses it, recorded.
  func gate(
    _ use: GateUse, _ slug: Slug, _ details: [String: JSONValue], _ evidence: EvidenceKind, as actor: Actor,
    dryRun: Bool
  ) async throws -> JSONValue {
    let (acts, trust, now) = (acts, trust, clock.now)
    let found = try await store.read { tx in
      GateCheck.choose(try GatesRecords.of(use.org, in: tx), for: use, trust, at: now)
    }
    switch found {
    case .success(let gate): return .string(gate.id.text)
    case .failure(let refusal):
      let error = refusal.error(use.class.credentialClass, use.surface, slug)
      // Of an Org without any gate the guardrail itself says so.
      let marked = refusal == .missing ? details : details.merging(["gate": "closed"]) { $1 }
      let act = Act(
        .credentialManage, kind: evidence, subject: Self.subject(slug, use.surface), org: use.org.text,
        details: .object(marked), scopes: use.class.credentialClass.scopes, namesGate: marked["gate"] != nil)
      try await acts.perform(act, as: actor, dryRun: dryRun) { _, _ in throw Acts.Refusal(error) }
      throw error
    }
  }

  /// The reference of a new version: of a gated class only with a gate that is open in this transaction.
  static func reference(
    _ ref: SecretRef, _ kind: CredentialClass, _ surface: CredentialSurface, of org: Org, _ trust: GateTrust,
    at now: Timestamp, in tx: Transaction
  ) throws -> CredentialRef {
    guard let gated = kind.gated else { return .fixture(FixtureSecretRef(ref)) }
    let use = GateUse(org: org.id, surface: surface, class: gated)
    return .new(ref, allowedBy: try openGate(for: use, org: org.slug, trust, at: now, in: tx))
  }

  /// Before anything is asked of a vault, whose answers would tell a stranger something.
  private func allowed(_ actor: Actor) async throws {
    let acts = acts
    try await store.read { try acts.authorise(.credentialManage, as: actor, in: $0) }
  }

  /// The value that is to be kept, from whoever asks or from the vault that has it.
  private func take(_ value: Secret?, _ request: SetRequest, _ vault: String) async throws -> Secret {
    switch (value, request.key) {
    case (let value?, nil):
      _ = try vaults.keeper(vault)
      return value
    case (nil, let key?): return try await vaults.source(vault).read(key)
    case (nil, nil):
      throw AWError(
        .usage, "There is neither a value nor the key of one.",
        next: "Give the value by standard input or a descriptor, or name a vault and a key in it.")
    case (_?, _?):
      throw AWError(
        .usage, "There is a value and the key of another one.", next: "Give one of them, and leave out the other.")
    }
  }

  /// Puts a value into its vault for the time of an act, and leaves it there when the act was carried out.
  ///
  /// - Parameter key: of a value that somebody else keeps: then nothing is put anywhere.
  func placing<Value>(
    _ value: Secret, key: String?, in vault: String, org: Slug, _ surface: CredentialSurface, _ version: Int,
    dryRun: Bool, _ body: (Credential.Place) async throws -> Value
  ) async throws -> Value {
    if let key { return try await body(.init(vault: vault, key: key, isOwn: false)) }
    let keeper = try vaults.keeper(vault)
    let mark = Hex.encode([UInt8].random(count: 4))
    let place = Credential.Place(
      vault: vault, key: keeper.key(org: org, surface: surface, version: version, mark: mark), isOwn: true)
    if dryRun { return try await body(place) }
    try await keeper.create(value, at: place.key)
    do {
      return try await body(place)
    } catch {
      try await keeper.destroy(place.key)
      throw error
    }
  }

  /// Removes the value that was replaced, if AW had put it there.
  private func removeEarlier(_ before: Credential.Place) async {
    guard before.isOwn else { return }
    do {
      try await vaults.keeper(before.vault).destroy(before.key)
    } catch {
      // The new value counts all the same; the old one is no longer named anywhere.
      logger.warning(
        "the value of an earlier version could not be removed from its vault",
        metadata: ["vault": "\(before.vault)", "key": "\(before.key)", "error": "\(error)"])
    }
  }

  private static func check(
    _ request: SetRequest, _ surface: CredentialSurface, of org: OrgID, expected: Int, in tx: Transaction
  ) throws {
    let current = try CredentialsRecords.find(surface, of: org, in: tx)
    try idle(surface, of: org, in: tx)
    if let replacing = request.replacing, replacing != (current?.version ?? 0) {
      let now = current.map { "version \($0.version), set by \($0.setBy) at \($0.setAt)" } ?? "none"
      throw AWError(
        .conflict, "The credential to be replaced is version \(replacing), but there is \(now).",
        next: "Look at it with 'aw credential show', then decide again.")
    }
    guard try CredentialsRecords.version(surface, of: org, in: tx) == expected else {
      throw AWError(
        .conflict, "Somebody else set this credential at the same moment.",
        next: "Look at it with 'aw credential show', then decide again.")
    }
  }

  /// The Orgs that shared an identity with what is there now: they are free of that once it goes.
  private static func sharing(_ surface: CredentialSurface, of org: OrgID, in tx: Transaction) throws -> [OrgID] {
    try CredentialsRecords.find(surface, of: org, in: tx).map { try CredentialsRecords.sharing($0, in: tx) } ?? []
  }

  static func record(_ credential: Credential, in context: inout ActContext) {
    context.record("class", .string(credential.reference.kind.rawValue))
    if let gate = credential.reference.gate { context.record("gate", .string(gate.text)) }
    context.record("reference", .string(credential.reference.ref.description))
    context.record("version", .integer(Int64(credential.version)))
    context.record("vault", .string(credential.place.vault))
    context.record("key", .string(credential.place.key))
    context.record("fingerprint", .string(credential.fingerprint))
    if !credential.settings.isEmpty {
      context.record("settings", .object(credential.settings.mapValues { .string($0) }))
    }
  }

  static func org(_ slug: Slug, in tx: Transaction) throws -> Org {
    guard let org = try FleetRecords.org(slug, in: tx) else {
      throw AWError(.orgUnknown, "There is no Org named '\(slug)'.", next: "See 'aw org list'.")
    }
    return org
  }

  static func subject(_ org: Slug, _ surface: CredentialSurface) -> EvidenceSubject {
    EvidenceSubject(type: "credential", id: "\(org)/\(surface.rawValue)")
  }

  static func unknown(_ surface: CredentialSurface, _ org: Slug) -> AWError {
    AWError(
      .credentialUnknown, "The Org '\(org)' has no \(surface.title).",
      next: "Set it: 'aw credential set \(org) \(surface.rawValue)'.")
  }
}

/// What no actor may do, whatever the role: hold a credential that could open something, without a gate.
public enum CredentialGuardrails {
  public static let all: [Guardrail] = [fixturesOnly]

  static let fixturesOnly: Guardrail = { act, _, _ in
    // That a gate is named lets nobody through: the act's body cannot make the reference without an open one.
    guard !act.namesGate else { return nil }
    return CredentialClass.allCases.first { !$0.scopes.isDisjoint(with: act.scopes) }.map(refusal)
  }

  static func refusal(_ kind: CredentialClass) -> AWError {
    AWError(
      .credentialClassRefused,
      "A credential of the class \(kind.rawValue) is refused: no signed gate allows one for this Org and surface.",
      next: "Set a fixture, or ask for a gate that an approver signs: 'aw gate request'.")
  }
}
