import Access
import Alerts
import Basics
import Credentials
import Events
import Evidence
import Fleet
import Foundation
import Gateway
import Hygiene
import Link
import Logging
import NIOCore
import Onboarding
import Programme
import Runbooks
import ServiceLifecycle
import Store
import Vault
import Web
import Work

/// One control plane, put together: opened, but not running yet.
public final class ControlPlane: Sendable {
  public let fleet: FleetService
  public let reader: FleetReader
  public let access: AccessService
  public let store: Store
  public let vault: Vault
  public let publisher: EvidencePublisher
  let heartbeat: EvidenceHeartbeat
  public let gateway: AWGateway
  let paths: ControlPaths
  let watch: ChainWatch
  let samples: SampleKeeper
  let linkWatch: LinkWatch
  let engine: WorkEngine
  public let alerts: AlertsService
  public let credentials: CredentialsService
  public let rotation: RotationService
  public let onboarding: OnboardingService
  let onboardingLedger: OnboardingLedger
  let intake: IntakeService
  public let programme: ProgrammeService
  public let approvals: ApprovalService
  let alertsEngine: AlertsEngine
  /// Names this deployment in the events that it sends.
  let eventSource: String
  let feed: LiveFeed
  let metrics: PrometheusRegistry
  let evidence: EvidenceLog
  /// The checks over the log, and the newest verdict of them.
  let hygiene: EvidenceHygiene
  let acts: Acts
  let directory: DataDirectory
  /// This control plane's place among those that share the database.
  public let nodes: NodeKeeper
  let settings: ControlPlaneSettings
  let authorities: AuthorityService
  let policy = StatusPolicy()
  let clock: WallClock
  let logger: Logger

  /// Every migration of every room, in the order in which rooms stand on each other.
  public static let migrations =
    EvidenceLog.migrations + AccessRecords.migrations + ApprovalRecords.migrations + WorkRecords.migrations
    + WebRecords.migrations
    + EventOutbox.migrations + FleetRecords.migrations + AlertsRecords.migrations + DeploymentRecords.migrations
    + CredentialsRecords.migrations + OnboardingRecords.migrations + ProgrammeRecords.migrations

  /// Opens the database, the vault and the evidence, and listens for Hosts.
  ///
  /// - Throws: what is wrong with the data directory, the database, the vault or the port of the AW Gateway.
  public static func open(
    _ directory: DataDirectory, _ settings: ControlPlaneSettings, clock: WallClock = .system, logger: Logger
  ) async throws -> ControlPlane {
    let location =
      settings.postgres.map {
        Store.Location.postgres(target: $0, connections: ControlPlaneSettings.postgresConnections)
      } ?? .sqlite(path: directory.database)
    let vault = try directory.openVault()
    let store = try await Store.open(location, migrations: migrations, logger: logger)
    do {
      return try await ControlPlane(store, vault, directory, settings, clock: clock, logger: logger)
    } catch {
      await store.close()
      throw error
    }
  }

  private init(
    _ store: Store, _ vault: Vault, _ directory: DataDirectory, _ settings: ControlPlaneSettings, clock: WallClock,
    logger: Logger
  ) async throws {
    self.store = store
    self.vault = vault
    self.directory = directory
    self.settings = settings
    self.clock = clock
    self.logger = logger
    let fingerprintKey = try await vault.putIfAbsent(try SecretReference("deployment/fingerprint-key")) {
      .randomHex(byteCount: 32)
    }
    let masks = Masks(key: fingerprintKey)
    let evidence = EvidenceLog(
      watch: vault.watch, masks: masks, profiles: EvidenceProfiles.fields, logger: logger)
    let feed = LiveFeed()
    self.evidence = evidence
    self.feed = feed
    hygiene = EvidenceHygiene(
      log: evidence, store: store, watch: vault.watch, profiles: EvidenceProfiles.fields,
      kinds: EvidenceProfiles.identities)
    // What is in the vault already is compiled now, and not with the first act.
    _ = try vault.watch.current()
    let node = try directory.nodeID(at: clock.now)
    let deployment = try await DeploymentRecords.identity(in: store, at: clock.now)
    eventSource = "urn:aw:\(deployment)"
    publisher = try await EvidencePublisher(
      log: evidence, store: store, vault: vault, directory: directory.evidence, origin: "aw/\(deployment)",
      clock: clock, logger: logger, published: { feed.publish(LiveEvent(topic: EvidenceRoutes.topic)) })
    // Before anything of this vault is used or tidied up.
    try await DeploymentRecords.check(vault: publisher.verifierKey.text, in: store)
    let metrics = PrometheusRegistry()
    self.metrics = metrics
    let answering = Late<CredentialsService>()
    let (changes, conscience, index) = (Changes(feed: feed), Conscience(), FleetIndex())
    let outbox = EventOutbox(appended: { changes.eventAppended() })
    let keeper = AuthorityKeeper(store: store, vault: vault)
    let share = FleetShare(node: node, run: Hex.encode([UInt8].random(count: 12)), metrics: metrics)
    let gatekeeper = FleetGatekeeper(
      node: node, store: store, evidence: evidence, outbox: outbox, metrics: metrics, clock: clock, logger: logger,
      changed: { changes.linkChanged($0) }, told: { changes.told($0, by: $1) },
      secrets: { question, host in
        await answering.value?.answer(question, from: host)
          ?? SecretAnswer(number: question.number, values: [:], absent: [])
      })
    // Before the first Host is back: what it tells then belongs to this.
    try await gatekeeper.recordCrash()
    var listening = AWGateway.Configuration(
      address: settings.gateway.address, port: settings.gateway.port, authorities: try await keeper.take(at: clock.now))
    listening.node = node.text
    gateway = try await AWGateway.listen(listening, delegate: gatekeeper, clock: clock, logger: logger)
    samples = SampleKeeper(store: store, clock: clock, logger: logger)
    paths = try ControlPaths(
      gateway: gateway, vault: vault, folder: try directory.socketFolder(), logger: logger)
    let steps = InstanceSteps(
      store: store, vault: vault, paths: paths, evidence: evidence, outbox: outbox, index: index,
      samples: samples, share: share, clock: clock, version: Release.version, model: settings.model,
      readyWithin: settings.readyWithin, hardening: { try OnboardingLedger.hardening(of: $0, at: $1, in: $2) },
      collected: { try answering.value?.collected(of: $0, in: $1) ?? [] })
    let walk = steps.walk
    watch = ChainWatch(
      walk: walk, steps: steps,
      policy: policy, conscience: conscience, anchors: settings.anchors, metrics: metrics, logger: logger,
      changed: { changes.publish(.instances($0)) })
    changes.watch(with: watch)
    let name = settings.name ?? ProcessInfo.processInfo.hostName
    heartbeat = EvidenceHeartbeat(
      node: node.text, name: name, log: evidence, store: store, clock: clock, logger: logger)
    nodes = NodeKeeper(
      identity: .init(
        id: node, name: name,
        gateway: settings.gatewayAddress ?? settings.gateway.reachable(port: gateway.port),
        program: Release.program, isShared: settings.postgres != nil),
      share: share, store: store, evidence: evidence, outbox: outbox, gatekeeper: gatekeeper, gateway: gateway,
      metrics: metrics, clock: clock, logger: logger, moved: { changes.moved(taken: $0, lost: $1) })
    changes.nudge(nodes)
    let trust = GateTrust(deployment: "\(deployment)", approvers: settings.approvers)
    let ledger = OnboardingLedger(
      store: store, evidence: evidence, clock: clock, titles: OnboardingParts.titles,
      credentials: { try OnboardingParts.facts(of: $0, trust, at: $1, in: $2) },
      changed: { feed.publish(LiveEvent(topic: OnboardingPages.topic)) })
    onboardingLedger = ledger
    let builtin = try BuiltinProgramme.load()
    let (signers, founded) = (settings.signers.of("\(deployment)"), DeploymentRecords.founded(deployment))
    let needed = Approvals(kinds: ApprovalParts.kinds, person: { signers.person(of: $0.text) })
    acts = Acts(
      store: store, evidence: evidence,
      guardrails: [ProgrammeService.guardrail(signers, builtin, founded: founded)] + Guardrails.all
        + CredentialGuardrails.all, approvals: needed, clock: clock, logger: logger)
    approvals = ApprovalService(
      acts: acts, store: store, approvals: needed, clock: clock,
      told: { try outbox.append(ApprovalParts.event($0, at: $1), in: $2) },
      changed: { feed.publish(LiveEvent(topic: ProgrammeRoutes.topic)) })
    if let vendors = settings.vendors { try settings.endpoints.check(apartFrom: vendors) }
    let credentials = CredentialsService(
      acts: acts, store: store, sealed: vault,
      vaults: try CredentialVaults(sealed: vault, settings: settings.vaults, environment: settings.environment),
      fingerprinter: Fingerprinter(key: fingerprintKey), evidence: evidence, outbox: outbox, vendors: settings.vendors,
      endpoints: settings.endpoints,
      egress: settings.egress, trust: trust, clock: clock, logger: logger,
      settled: { org, actor, act, now, tx in
        try ledger.settle(org, by: actor.text, act: act.id.text, at: now, cause: act.kind.id, in: tx)
      }, changed: { feed.publish(LiveEvent(topic: OnboardingPages.topic)) })
    self.credentials = credentials
    answering.set(credentials)
    let runs = Late<InstanceRuns>()
    let rotation = RotationSteps(
      credentials: credentials,
      runs: FirstRuns(
        begin: { try await runs.value?.begin($0, $1, touched: $2) },
        look: { try await runs.value?.look($0, $1) ?? [] }))
    engine = WorkEngine(
      store: store, plans: steps.plans + [rotation.plan], clock: clock, logger: logger,
      owns: { try steps.owns($0, in: $1) },
      journal: { operation, event, tx in
        try OperationJournal.record(operation, event, evidence: evidence, in: tx)
        try ledger.operationChanged(operation, in: tx)
      },
      changed: { changes.operationChanged($0) })
    authorities = AuthorityService(acts: acts, keeper: keeper, gateway: gateway, clock: clock, logger: logger)
    fleet = FleetService(
      acts: acts, store: store, walk: walk, outbox: outbox, engine: engine, share: share, masks: masks,
      model: settings.model, changed: { changes.acted($0) })
    reader = FleetReader(
      store: store, evidence: evidence, gateway: gateway, policy: policy, conscience: conscience, index: index,
      samples: samples, share: share, sources: [Self.silences], clock: clock)
    linkWatch = LinkWatch(
      store: store, outbox: outbox, conscience: conscience, share: share, clock: clock, logger: logger)
    let sender = EndpointSender(vault: vault, logger: logger)
    alertsEngine = AlertsEngine(
      store: store, clock: clock, sender: node.text, publicURL: settings.publicURL, metrics: metrics, logger: logger,
      send: { await sender.send($0, to: $1, at: $2) }, changed: { changes.alertsChanged() })
    changes.tell(alertsEngine)
    alerts = AlertsService(
      acts: acts, store: store, vault: vault, clock: clock, problem: { await sender.problem(with: $0) },
      changed: {
        changes.eventAppended()
        changes.alertsChanged()
      })
    intake = IntakeService(credentials: credentials)
    onboarding = OnboardingService(
      acts: acts, fleet: fleet, ledger: ledger, surfaces: CredentialSurface.allCases.map(\.rawValue))
    let parts = ProgrammeParts(
      reader: reader, onboarding: onboarding, store: store, evidence: evidence, hygiene: hygiene, watch: vault.watch,
      rotationSteps: rotation.plan.steps.map(\.name), clock: clock)
    programme = ProgrammeService(
      acts: acts, store: store, evidence: evidence, trust: signers, builtin: builtin, founded: founded,
      proofs: parts.proofs, hygiene: { [hygiene] tx in try hygiene.newest(in: tx).map { HygieneSummary($0) } },
      scoped: parts.scoped, tasks: ApprovalParts.tasks, clock: clock,
      changed: { feed.publish(LiveEvent(topic: ProgrammeRoutes.topic)) })
    runs.set(InstanceRuns(store: store, fleet: fleet, onboarding: onboarding))
    self.rotation = RotationService(credentials: credentials, engine: engine)
    try await alerts.forgetOrphanedSecrets()
    try await credentials.forgetOrphanedValues()
    try await intake.sweepSealingKeys()
    try await fleet.forgetOrphanedPathSecrets()
    access = AccessService(
      store: store, acts: acts,
      csrfKey: try await vault.putIfAbsent(try SecretReference("web/csrf-key")) { .randomHex(byteCount: 32) },
      clock: clock, logger: logger)
    try await nodes.join()
    // What nobody else holds is this one's before it answers anybody.
    try await nodes.look()
  }

  /// Names the authority that signs now.
  var line: EnrolmentLine {
    EnrolmentLine(
      gateway: settings.gatewayAddress ?? settings.gateway.reachable(port: gateway.port),
      fingerprint: gateway.authorities.fingerprint)
  }

  /// Silences, as the timeline of an Instance tells of them.
  private static let silences = TimelineSource(SilenceStory.kinds) { entry, org, instance in
    SilenceStory.line(entry, org: org.text, subject: "instance/\(instance)").map {
      TimelineSource.Line(.silence, $0.title, reason: $0.reason)
    }
  }

  /// The line that makes a machine a Host, for a token that `FleetService.inviteHost` gave.
  public func enrolmentLine(_ token: Secret) -> Secret { line.text(token) }

  /// The routes and pages of every room.
  func server(publicURL: String) throws -> WebServer {
    let fleetRoutes = FleetRoutes(service: fleet, reader: reader, line: { self.line })
    let evidenceRoutes = EvidenceRoutes(
      log: evidence, publisher: publisher, store: store,
      service: EvidenceService(
        acts: acts, log: evidence, store: store, hygiene: hygiene, publisher: publisher, clock: clock),
      directory: directory.evidence)
    let accessRoutes = AccessRoutes(access: access, publicURL: publicURL)
    let approvalRoutes = ApprovalRoutes(service: approvals, topic: ProgrammeRoutes.topic)
    let intakeRoutes = IntakeRoutes(service: intake, publicURL: publicURL)
    let onboardingSections = OnboardingSections(service: onboarding)
    let orgPages = OnboardingPages(
      service: onboarding, reader: reader, surfaces: CredentialSurface.allCases.map { ($0.rawValue, $0.title) },
      remarks: LinkedChannel.allCases.map { "\($0.title): \($0.words)" },
      sections: [
        { try await intakeRoutes.section(of: $0, $1) }, { try await onboardingSections.baseline(of: $0, $1) },
        { try await fleetRoutes.section(of: $0, $1) }, { try await onboardingSections.handoff(of: $0, $1) },
        { try await evidenceRoutes.section(ofOrg: $0.id.text, $1) },
      ])
    let runbooks = try RunbookRoutes.load()
    let programmePages = try ProgrammePages(service: programme)
    let alertsRoutes = AlertsRoutes(
      service: alerts, reader: AlertsReader(store: store, clock: clock, source: eventSource), logger: logger)
    return try WebServer(
      configuration: WebConfiguration(
        usesHTTPS: publicURL.hasPrefix("https:"), isBehindProxy: settings.publicURL != nil,
        metricsArePublic: settings.metricsArePublic),
      store: store, access: access, acts: acts, feed: feed, metrics: metrics, readiness: readiness,
      routes: fleetRoutes.routes + AuthorityRoutes(service: authorities).routes + alertsRoutes.routes
        + CredentialsRoutes(service: credentials).routes + GatesRoutes(service: credentials).routes
        + RotationRoutes(service: rotation).routes
        + OnboardingRoutes(service: onboarding).routes + BaselineRoutes(service: onboarding).routes
        + HandoffRoutes(service: onboarding).routes + intakeRoutes.routes + orgPages.routes
        + evidenceRoutes.routes + accessRoutes.routes + runbooks.routes + ProgrammeRoutes(service: programme).routes
        + programmePages.routes + approvalRoutes.routes,
      rooms: [
        try FleetRoutes.pages(), try OnboardingPages.pages(), try IntakeRoutes.pages(), try AlertsRoutes.pages(),
        try ProgrammePages.pages(), approvalRoutes.pages, evidenceRoutes.pages, accessRoutes.pages,
        try RunbookRoutes.pages(),
      ], assets: try AssetFiles.load(), clock: clock, logger: logger)
  }

  private var readiness: [ReadinessPart] {
    let (store, vault, publisher) = (store, vault, publisher)
    return [
      ReadinessPart("database") { _ = try await store.read { try $0.run("SELECT 1 AS one") } },
      ReadinessPart("vault") { _ = try await vault.references() },
      ReadinessPart("evidence") { if let problem = await publisher.lastRun?.problem { throw problem } },
    ]
  }
}

/// Carries what changed to open pages and to the watch. It exists before both, so it is told of the watch later.
private final class Changes: Sendable {
  private let feed: LiveFeed
  private let watch = Late<ChainWatch>()
  private let alerts = Late<AlertsEngine>()
  private let nodes = Late<NodeKeeper>()

  init(feed: LiveFeed) { self.feed = feed }

  func watch(with watch: ChainWatch) { self.watch.set(watch) }
  func nudge(_ nodes: NodeKeeper) { self.nodes.set(nodes) }
  func tell(_ alerts: AlertsEngine) { self.alerts.set(alerts) }
  func eventAppended() { alerts.value?.nudge() }
  func alertsChanged() { feed.publish(LiveEvent(topic: AlertsRoutes.topic)) }

  func publish(_ change: FleetChange) {
    for topic in FleetTopics.topics(of: change) { feed.publish(LiveEvent(topic: topic)) }
  }

  func linkChanged(_ host: HostID) {
    publish(.hosts)
    watch.value?.linkChanged(host)
    nodes.value?.nudge()
  }

  /// Hosts fell to this control plane, or to another one.
  func moved(taken: Set<HostID>, lost: Set<HostID>) {
    watch.value?.moved(taken: taken, lost: lost)
    publish(.hosts)
  }

  func told(_ heartbeat: Heartbeat, by host: HostID) { watch.value?.heard(heartbeat, from: host) }

  /// Somebody changed what is there or what it is meant to be.
  func acted(_ change: FleetChange) {
    publish(change)
    switch change {
    case .instances(let id): watch.value?.changed(id)
    case .path(let id): watch.value?.changed(id, andCheck: true)
    case .hosts: nodes.value?.nudge()
    case .orgs: break
    }
  }

  func operationChanged(_ operation: WorkOperation) {
    guard let instance = InstanceID(operation.subject) else { return }
    publish(.instances(instance))
    watch.value?.changed(instance, andCheck: operation.isFinished)
  }
}
