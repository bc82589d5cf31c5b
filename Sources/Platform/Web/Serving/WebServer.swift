import Access
import Basics
import CoreMetrics
import Hummingbird
import HummingbirdCore
import HTTPTypes
import Logging
import NIOCore
import Store

/// The HTTP server: this room's own routes, and those that the other rooms contribute.
public struct WebServer: Sendable {
  public let table: RouteTable
  private let runner: RequestRunner
  private let shell: ShellMiddleware
  private let logger: Logger

  /// - Parameters:
  ///   - readiness: what `/readyz` asks.
  ///   - routes: of the other rooms.
  ///   - rooms: what the other rooms add to the console.
  /// - Throws: `internalFailure` for routes or templates that are wrong: see `RouteTable` and `PageLibrary`.
  public init(
    configuration: WebConfiguration, store: Store, access: AccessService, acts: Acts, feed: LiveFeed,
    metrics: PrometheusRegistry, readiness: [ReadinessPart], routes: [Route], rooms: [RoomPages],
    assets: AssetFiles, clock: WallClock, logger: Logger, limits: AccessLimits = .standard
  ) throws {
    let pages = try PageLibrary(assets: assets, rooms: rooms)
    let authenticator = Authenticator(access: access, configuration: configuration)
    let own =
      SignInRoutes(authenticator: authenticator, access: access, limits: limits).routes
      + ServerRoutes(
        configuration: configuration, assets: assets, feed: feed, metrics: metrics, readiness: readiness
      ).routes
    table = try RouteTable(ServerRoutes.describing(own + routes))
    runner = RequestRunner(
      authenticator: authenticator, acts: acts, store: store, pages: pages,
      idempotency: IdempotencyStore(store: store), clock: clock)
    shell = ShellMiddleware(pages: pages, configuration: configuration, metrics: metrics, clock: clock)
    self.logger = logger
  }

  /// The router, for an application of one's own.
  public func router() -> Router<WebContext> {
    let router = Router(context: WebContext.self, options: .autoGenerateHeadEndpoints)
    router.add(middleware: shell)
    let runner = runner
    for route in table.routes {
      router.on(RouterPath(route.path), method: route.method.http) { request, context in
        try await runner.respond(route, request, context)
      }
    }
    return router
  }

  /// The application: a service for the service group, to start last and stop first.
  public func application(
    address: BindAddress, onServerRunning: @escaping @Sendable (any Channel) async -> Void = { _ in }
  ) -> some ApplicationProtocol {
    let headers = HTTP1Channel.Configuration.DecoderConfiguration(
      maxHeaderFieldSize: WebLimits.headerBytesMax, maxHeaderListSize: WebLimits.headerBytesMax,
      maxHeaderFieldCount: 100)
    let connection = HTTP1Channel.Configuration(
      idleTimeout: TimeAmount(WebLimits.connectionIdle), httpDecoderConfiguration: headers)
    return Application(
      router: router(), server: .http1(configuration: connection),
      configuration: ApplicationConfiguration(address: address, serverName: nil), onServerRunning: onServerRunning,
      logger: logger)
  }
}

extension Route.Method {
  var http: HTTPRequest.Method {
    switch self {
    case .get: .get
    case .post: .post
    case .put: .put
    case .patch: .patch
    case .delete: .delete
    }
  }
}
