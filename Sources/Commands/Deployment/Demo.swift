import Access
import Basics
import Fleet
import Foundation
import Gateway
import Link
import Logging
import ServiceLifecycle
import Store
import Web
import Work

/// What `aw up` has beside the control plane: this machine as a Host, a model endpoint, and a synthetic Org with its
/// Instance, made before the operator's eyes.
public struct Demo: Sendable {
  public struct Settings: Sendable {
    public var runtime = RuntimeKind.process
    public var image: String?
    public var host = HostProgram.Settings()

    public init() {}
  }

  static let org = "acme"
  static let instance = "acme-main"
  static let host = "this-machine"
  static let owner = "owner"

  /// What the demo tells as it goes. A person reads it on a terminal, or as lines of a log.
  public enum News: Sendable {
    case said(String)
    /// The operation on the Instance, each time that it moved.
    case moved(OperationView)
    case ready(Ready)
  }

  public struct Ready: Codable, Sendable {
    public let url: String
    /// Signs in once, within 15 minutes.
    public let signIn: String
    public let context: String
    public let instance: String
    public let status: Status
    public let reason: String
  }

  let control: ControlPlane
  let settings: Settings
  let directory: DataDirectory
  let logger: Logger
  let tell: @Sendable (News) -> Void
  private let actor = Actor.system("setup")
  private let startedAt: Timestamp

  public init(
    control: ControlPlane, settings: Settings, directory: DataDirectory, logger: Logger,
    tell: @escaping @Sendable (News) -> Void
  ) {
    self.control = control
    self.settings = settings
    self.directory = directory
    self.logger = logger
    self.tell = tell
    startedAt = control.clock.now
  }

  /// Everything that runs beside the control plane. The last of it makes the Org and the Instance.
  public func services(_ running: ControlPlane.Running) async throws -> [any Service] {
    var hostSettings = settings.host
    hostSettings.haltsInstances = true
    // Both ends are one process: a second connection would break with the first.
    hostSettings.connections = 1
    let program = HostProgram(directory: directory.host, settings: hostSettings, logger: logger)
    if !program.isEnrolled {
      let invitation = try await control.fleet.inviteHost(try Slug(Self.host), as: actor)
      try await program.enrol(
        at: .init(address: "127.0.0.1", port: control.gateway.port),
        ticket: EnrolmentTicket(fingerprint: control.line.fingerprint, token: invitation.token))
      tell(.said("This machine is the Host '\(Self.host)'."))
    }
    return [
      try program.connector(),
      Loop("demo") {
        try await cancelWhenGracefulShutdown { try await self.present(running) }
        try await gracefulShutdown()
      },
    ]
  }

  private func present(_ running: ControlPlane.Running) async throws {
    try await makeOrg()
    try await linked()
    let operation = try await makeInstance()
    if let operation { try await follow(operation) } else { try await verified() }
    let view = try await control.reader.instance(try Slug(Self.instance))
    let link = try await control.access.signInLink(for: try Slug(Self.owner), reason: "setup")
    tell(
      .ready(
        Ready(
          url: running.url, signIn: SignInAddress.link(link.secret, publicURL: running.url), context: directory.context,
          instance: Self.instance, status: view.status.status, reason: view.status.reason)))
  }

  private func makeOrg() async throws {
    do {
      _ = try await control.fleet.createOrg(.init(slug: try Slug(Self.org), name: "Acme (synthetic)"), as: actor)
      tell(.said("The synthetic Org '\(Self.org)' is recorded."))
    } catch let error as AWError where error.code == .slugTaken {
      // An earlier run made it.
    }
  }

  /// Waits until this machine's Connector is linked.
  private func linked() async throws {
    let slug = try Slug(Self.host)
    _ = try await Self.poll({ try await control.reader.host(slug) }, until: { $0.connected })
  }

  /// Nil when an earlier run made it.
  private func makeInstance() async throws -> OperationView? {
    let slug = try Slug(Self.instance)
    do {
      let view = try await control.reader.instance(slug)
      if view.state == .provisioning || view.operation?.isFinished == false { return view.operation }
      if view.state == .stopped { tell(.said("'\(slug)' was stopped on request: 'aw instance start \(slug)'.")) }
      if view.state != .failed { return nil }
    } catch let error as AWError where error.code == .instanceUnknown {
      // The first run.
    }
    let (_, operation) = try await control.fleet.createInstance(
      .init(
        org: try Slug(Self.org),
        placement: .init(
          slug: slug, runtime: settings.runtime, image: settings.image, host: try Slug(Self.host))),
      as: actor)
    return OperationView(operation)
  }

  private func follow(_ operation: OperationView) async throws {
    let id = operation.id
    let ended = try await Self.poll({ try await control.reader.operation(id) }) { view in
      tell(.moved(view))
      return view.isFinished
    }
    if let failure = ended.failure { throw failure.error }
  }

  /// An Instance of an earlier run is started by the Connector; the watch sees it come back.
  private func verified() async throws {
    let slug = try Slug(Self.instance)
    let deadline = ContinuousClock.now + .seconds(60)
    _ = try await Self.poll({ try await control.reader.instance(slug) }) { view in
      // What the run before saw is no evidence of this one.
      let isFresh = view.status.evidenceAt.map { $0 > startedAt } ?? false
      return (isFresh && view.status.status == .current) || view.state == .stopped || ContinuousClock.now > deadline
    }
  }

  /// How often progress is read while somebody watches.
  private static let pollEvery = Duration.milliseconds(100)

  /// Reads a value again and again until it is as wanted.
  private static func poll<Value>(
    _ read: () async throws -> Value, until isWanted: (Value) -> Bool
  ) async throws -> Value {
    while true {
      let value = try await read()
      if isWanted(value) { return value }
      try await Task.sleep(for: pollEvery)
    }
  }
}
