// swift-tools-version: 6.2
import PackageDescription

// The house: Commands -> Product -> (Reach, OpenClaw, Platform). A room is a target, so the compiler keeps the
// rules; ARCHITECTURE.md draws the picture.

let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

// MARK: - Libraries, by the name the code imports

func library(_ name: String, _ package: String) -> Target.Dependency { .product(name: name, package: package) }

let nioCore = library("NIOCore", "swift-nio")
let nioPosix = library("NIOPosix", "swift-nio")
let nioEmbedded = library("NIOEmbedded", "swift-nio")
let nioHTTP1 = library("NIOHTTP1", "swift-nio")
let nioTLS = library("NIOTLS", "swift-nio")
let nioWebSocket = library("NIOWebSocket", "swift-nio")
let nioConcurrency = library("NIOConcurrencyHelpers", "swift-nio")
let nioFoundation = library("NIOFoundationCompat", "swift-nio")
let nioSSL = library("NIOSSL", "swift-nio-ssl")
let nioHTTP2 = library("NIOHTTP2", "swift-nio-http2")
let nioHPACK = library("NIOHPACK", "swift-nio-http2")
let httpTypes = library("HTTPTypes", "swift-http-types")
let x509 = library("X509", "swift-certificates")
let asn1 = library("SwiftASN1", "swift-asn1")
let crypto = library("Crypto", "swift-crypto")
let cryptoExtras = library("CryptoExtras", "swift-crypto")
let hummingbird = library("Hummingbird", "hummingbird")
let hummingbirdCore = library("HummingbirdCore", "hummingbird")
let hummingbirdTesting = library("HummingbirdTesting", "hummingbird")
let mustache = library("Mustache", "swift-mustache")
let logging = library("Logging", "swift-log")
let metrics = library("Metrics", "swift-metrics")
let coreMetrics = library("CoreMetrics", "swift-metrics")
let httpClient = library("AsyncHTTPClient", "async-http-client")
let lifecycle = library("ServiceLifecycle", "swift-service-lifecycle")
let unixSignals = library("UnixSignals", "swift-service-lifecycle")
let grdb = library("GRDB", "GRDB.swift")
let arguments = library("ArgumentParser", "swift-argument-parser")
let subprocess = library("Subprocess", "swift-subprocess")
let systemPackage = library("SystemPackage", "swift-system")
let asyncAlgorithms = library("AsyncAlgorithms", "swift-async-algorithms")

// MARK: - Rooms

func room(_ name: String, _ path: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .target(
    name: name, dependencies: dependencies, path: "Sources/\(path)", resources: resources, swiftSettings: strict)
}

func tests(_ name: String, _ path: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, path: "Tests/\(path)", resources: resources, swiftSettings: strict)
}

let platform: [Target] = [
  room("Basics", "Platform/Basics", [crypto, logging, systemPackage]),
  .systemLibrary(
    name: "CPostgres", path: "Sources/Platform/CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
  room("Store", "Platform/Store", ["Basics", "CPostgres", grdb, logging]),
  .systemLibrary(name: "CZlib", path: "Sources/Platform/CZlib", providers: [.apt(["zlib1g-dev"])]),
  room("Hygiene", "Platform/Hygiene", ["Basics", "CZlib", crypto]),
  room("Vault", "Platform/Vault", ["Basics", "Hygiene", crypto]),
  room("Addresses", "Platform/Addresses", ["Basics"]),
  room("Evidence", "Platform/Evidence", ["Basics", "Store", "Hygiene", "Vault", crypto, logging]),
  room("Access", "Platform/Access", ["Basics", "Store", "Evidence", crypto, cryptoExtras, logging, nioCore, nioPosix]),
  room("Events", "Platform/Events", ["Basics", "Store"]),
  room("Work", "Platform/Work", ["Basics", "Store", logging, lifecycle]),
  room(
    "Web", "Platform/Web",
    [
      "Basics", "Store", "Hygiene", "Evidence", "Access", "Work", hummingbird, hummingbirdCore, mustache, logging,
      metrics,
      coreMetrics, nioCore, httpTypes, lifecycle, asyncAlgorithms,
    ], resources: [.copy("Assets")]),
]

let openClaw: [Target] = [
  room(
    "OpenClaw", "OpenClaw",
    ["Basics", crypto, logging, nioCore, nioPosix, nioHTTP1, nioWebSocket, nioConcurrency, nioFoundation])
]

let reach: [Target] = [
  room(
    "Link", "Reach/Link",
    ["Basics", crypto, x509, asn1, logging, nioCore, nioPosix, nioSSL, nioTLS, nioHTTP2, nioHPACK, nioFoundation]),
  .systemLibrary(name: "CLinux", path: "Sources/Reach/CLinux"),
  room(
    "Gateway", "Reach/Gateway",
    [
      "Basics", "CLinux", "Link", crypto, x509, asn1, logging, lifecycle, nioCore, nioPosix, nioSSL, nioTLS, nioHTTP2,
      nioHPACK, nioConcurrency,
    ]),
  room(
    "Paths", "Reach/Paths",
    [
      "Basics", "Addresses", "Link", "OpenClaw", crypto, logging, nioCore, nioPosix, nioSSL, nioTLS, subprocess,
      systemPackage,
    ]),
  room("SecretExec", "Reach/SecretExec", ["CLinux"]),
  room(
    "Connector", "Reach/Connector",
    [
      "Basics", "Link", "OpenClaw", "SecretExec", crypto, x509, asn1, logging, lifecycle, nioCore, nioPosix, nioSSL,
      nioTLS,
      nioHTTP1, nioHTTP2, nioHPACK, nioConcurrency, nioFoundation, httpClient, subprocess, systemPackage,
    ]),
]

let product: [Target] = [
  room(
    "Fleet", "Product/Fleet",
    [
      "Basics", "Store", "Hygiene", "Vault", "Evidence", "Events", "Access", "Work", "Web", "OpenClaw", "Link",
      "Gateway", "Paths", "Addresses", crypto, logging, coreMetrics, nioCore, httpTypes, lifecycle,
    ], resources: [.copy("Pages/Templates")]),
  room(
    "Credentials", "Product/Credentials",
    [
      "Basics", "Addresses", "Store", "Vault", "Evidence", "Events", "Access", "Work", "Web", "OpenClaw", "Link",
      "Fleet", crypto, cryptoExtras, logging, httpClient, nioCore, nioHTTP1, nioSSL, subprocess, systemPackage,
    ], resources: [.copy("Pages/Templates")]),
  room(
    "Onboarding", "Product/Onboarding",
    ["Basics", "Store", "Evidence", "Access", "Work", "Web", "OpenClaw", "Link", "Fleet", crypto],
    resources: [.copy("Pages/Templates")]),
  room(
    "Programme", "Product/Programme", ["Basics", "Store", "Evidence", "Access", "Web", crypto, httpTypes],
    resources: [.copy("Sequences"), .copy("Pages/Templates")]),
  room(
    "Runbooks", "Product/Runbooks", ["Basics", "Web"],
    resources: [.copy("Pages/Templates"), .copy("../../../docs/runbooks")]),
  room(
    "Alerts", "Product/Alerts",
    [
      "Basics", "Addresses", "Store", "Vault", "Evidence", "Access", "Events", "Web", crypto, logging, coreMetrics,
      lifecycle, httpClient, httpTypes, mustache, nioCore, nioPosix, nioSSL, nioHTTP1, nioFoundation, subprocess,
      systemPackage,
    ], resources: [.copy("Pages/Templates")]),
]

let synthetic: [Target] = [
  room(
    "Synthetic", "Synthetic",
    [
      "Basics", crypto, cryptoExtras, logging, nioCore, nioPosix, nioHTTP1, nioWebSocket, nioConcurrency,
      nioFoundation, httpClient, lifecycle, unixSignals, subprocess, systemPackage,
    ])
]

let commands: [Target] = [
  room("Client", "Commands/Client", ["Basics", httpClient, nioCore, nioHTTP1, nioFoundation]),
  room(
    "Deployment", "Commands/Deployment",
    [
      "Basics", "Store", "Vault", "Evidence", "Hygiene", "Events", "Access", "Work", "Web", "Link", "Gateway",
      "Connector", "Fleet", "Paths", "Alerts", "Credentials", "Onboarding", "Programme", "Runbooks", "Client",
      crypto, logging, lifecycle, hummingbird, nioCore, nioPosix,
      subprocess, systemPackage, unixSignals,
    ]),
  .executableTarget(
    name: "aw",
    dependencies: [
      "Deployment", "Client", "Fleet", "Alerts", "Credentials", "Onboarding", "Programme", "Events", "Evidence",
      "Hygiene", "Access", "Web", "Work", "Link", "SecretExec", "Vault", "Basics", crypto, arguments, logging,
    ], path: "Sources/Commands/aw", swiftSettings: strict),
  // Runs in the containers of Instances, whose images are not ours: it needs nothing but the kernel. No test target may
  // depend on it, or the tests would be linked so, too; they find it beside the other programs.
  .executableTarget(
    name: "aw-secret-exec", dependencies: ["SecretExec"], path: "Sources/Commands/aw-secret-exec",
    swiftSettings: strict,
    linkerSettings: [.unsafeFlags(["-static-executable"])]),
  .executableTarget(
    name: "aw-synthetic", dependencies: ["Synthetic", "Basics", arguments, logging, lifecycle],
    path: "Sources/Commands/aw-synthetic", swiftSettings: strict),
]

/// Programs that bring load for tests and measurements. None of them is shipped.
let benchmarks: [Target] = [
  .executableTarget(
    name: "hygiene-scan", dependencies: ["Hygiene", "Basics", arguments, crypto], path: "Benchmarks/HygieneScan",
    swiftSettings: strict),
  .executableTarget(
    name: "link-load",
    dependencies: [
      "Deployment", "Fleet", "Gateway", "Connector", "Link", "Store", "Vault", "Basics", arguments, logging, lifecycle,
      unixSignals,
      nioCore, nioPosix,
    ], path: "Benchmarks/LinkLoad", swiftSettings: strict),
]

let roomTests: [Target] = [
  tests("BasicsTests", "Platform/BasicsTests", ["Basics", "TestSupport", systemPackage]),
  tests("StoreTests", "Platform/StoreTests", ["Store", "Basics", "TestSupport"]),
  tests("AddressesTests", "Platform/AddressesTests", ["Addresses", "Basics", "TestSupport"]),
  tests("HygieneTests", "Platform/HygieneTests", ["Hygiene", "CZlib", "Basics", "TestSupport", crypto]),
  tests("VaultTests", "Platform/VaultTests", ["Vault", "Hygiene", "Basics", "TestSupport"]),
  tests(
    "EvidenceTests", "Platform/EvidenceTests",
    ["Evidence", "Hygiene", "Store", "Vault", "Basics", "TestSupport", crypto],
    resources: [.copy("verify_evidence.py")]),
  tests(
    "AccessTests", "Platform/AccessTests", ["Access", "Evidence", "Store", "Vault", "Basics", "TestSupport"],
    resources: [.copy("PolicyMatrix.txt")]),
  tests("EventsTests", "Platform/EventsTests", ["Events", "Store", "Basics", "TestSupport"]),
  tests(
    "AlertsTests", "Product/AlertsTests",
    ["Alerts", "Events", "Evidence", "Store", "Web", "Basics", "TestSupport", logging, coreMetrics]),
  tests("WorkTests", "Platform/WorkTests", ["Work", "Store", "Basics", logging]),
  tests(
    "WebTests", "Platform/WebTests",
    [
      "Web", "Access", "Evidence", "Hygiene", "Store", "Vault", "Basics", "TestSupport", hummingbird,
      hummingbirdTesting,
      httpTypes, nioCore, coreMetrics,
    ]),
  tests("OpenClawTests", "OpenClawTests", ["OpenClaw", "Basics", nioCore, nioPosix, nioHTTP1, nioWebSocket, crypto]),
  tests(
    "ReachTests", "ReachTests",
    [
      "Link", "Gateway", "Connector", "Basics", "TestSupport", logging, lifecycle, nioCore, nioPosix, nioConcurrency,
      nioEmbedded, nioSSL, crypto, x509, asn1,
    ]),
  tests(
    "PathsTests", "PathsTests", ["Paths", "Addresses", "Link", "OpenClaw", "Basics", nioCore, nioEmbedded]),
  tests(
    "RuntimeTests", "RuntimeTests",
    [
      "Connector", "Link", "Basics", "TestSupport", logging, nioHTTP1, subprocess, systemPackage,
    ]),
  tests(
    "FleetTests", "Product/FleetTests",
    [
      "Fleet", "OpenClaw", "Link", "Store", "Vault", "Web", "Access", "Events", "Evidence", "Work", "Basics",
      "TestSupport", coreMetrics,
      logging,
    ],
    resources: [.copy("Plots")]),
  tests(
    "CredentialsTests", "Product/CredentialsTests",
    [
      "Credentials", "Synthetic", "Addresses", "Fleet", "OpenClaw", "Link", "Access", "Evidence", "Work", "Store",
      "Vault", "Events", "Basics", "TestSupport", crypto, cryptoExtras, logging, nioCore, nioPosix, nioHTTP1,
    ]),
  tests(
    "OnboardingTests", "Product/OnboardingTests",
    [
      "Onboarding", "OpenClaw", "Fleet", "Link", "Work", "Access", "Evidence", "Store", "Basics", "TestSupport",
      logging,
    ]),
  tests(
    "ProgrammeTests", "Product/ProgrammeTests",
    ["Programme", "Access", "Evidence", "Store", "Web", "Basics", "TestSupport", crypto, logging]),
  tests("RunbooksTests", "Product/RunbooksTests", ["Runbooks", "Web", "Basics"]),
  tests(
    "EndpointTests", "Product/EndpointTests",
    [
      "Alerts", "Addresses", "Events", "Vault", "Basics", "TestSupport", crypto, logging, nioCore, nioPosix, nioHTTP1,
      nioSSL,
      httpClient, subprocess, systemPackage, x509, asn1,
    ], resources: [.copy("Vectors")]),
  tests(
    "DeploymentTests", "Commands/DeploymentTests",
    [
      "Deployment", "Client", "Web", "Access", "Evidence", "Hygiene", "Link", "Store", "Vault", "Basics", "TestSupport",
      logging,
    ],
    resources: [.copy("Routes.txt")]),
  tests(
    "ConformanceTests", "Conformance",
    ["Synthetic", "OpenClaw", "Basics", nioCore, nioPosix, nioHTTP1, nioWebSocket, crypto, logging],
    resources: [.copy("Frames")]),
  tests(
    "ScenarioTests", "Scenarios",
    [
      "aw", "aw-synthetic", "Deployment", "Client", "Synthetic", "Fleet", "Credentials", "Onboarding", "Programme",
      "Access", "Evidence", "Hygiene", "Work", "Web", "Store", "Vault", "OpenClaw", "Link", "Gateway", "Paths",
      "Connector", "Basics", "TestSupport", logging, lifecycle,
      subprocess, systemPackage, httpClient, nioCore, nioHTTP1, nioFoundation, arguments,
    ]),
  tests(
    "FaultTests", "Faults",
    [
      "aw", "aw-synthetic", "link-load", "Client", "Fleet", "Link", "OpenClaw", "Vault", "Basics", "TestSupport",
      subprocess, systemPackage, nioCore, nioPosix, nioConcurrency, nioEmbedded, crypto, x509, asn1,
    ]),
  tests("HouseTests", "HouseTests", ["Basics"]),
  .target(
    name: "TestSupport",
    dependencies: [
      "Basics", "Store", "Vault", "Evidence", "Access", "Link", logging, crypto, x509, asn1, nioCore, nioPosix, nioSSL,
      nioConcurrency,
    ],
    path: "Tests/TestSupport", swiftSettings: strict),
]

let package = Package(
  name: "aw",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
    .package(url: "https://github.com/apple/swift-async-algorithms", from: "1.1.4"),
    .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
  ],
  targets: platform + openClaw + reach + product + synthetic + commands + benchmarks + roomTests,
  swiftLanguageModes: [.v6]
)
