//! The 22 PostgreSQL enum types, each a Rust enum with the deployed type name and labels.
//!
//! This is the only place that spells a label out. It holds no behaviour of a table: that belongs to `models`.
//! Diesel's mapping is derived by diesel-derive-enum, whose use is confined to this file.

use std::fmt;
use std::str::FromStr;

use diesel_derive_enum::DbEnum;
use serde::{Deserialize, Serialize};

use crate::layer::Layer;

/// An enum type as PostgreSQL should know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PgEnum {
    /// Layer whose migration creates the type.
    pub layer: Layer,
    /// Name of the type.
    pub name: &'static str,
    /// Labels in their sort order.
    pub labels: &'static [&'static str],
}

/// A text that is not a label of the enum type it was read as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is not a label of {type_name}: expected one of {}", .labels.join(", "))]
pub struct UnknownLabel {
    /// Name of the enum type.
    pub type_name: &'static str,
    /// The text that was read.
    pub found: String,
    /// The labels that the type has.
    pub labels: &'static [&'static str],
}

/// Declares every enum once; emits the types, their conversions and the list `ALL`.
macro_rules! pg_enums {
    ($($layer:ident {$(
        $(#[doc = $doc:literal])+
        $name:ident = $pg_name:literal ($sql_type:literal) {
            $($(#[doc = $variant_doc:literal])* $variant:ident = $label:literal),+ $(,)?
        }
    )+})+) => {
        /// Every enum type, by layer.
        pub const ALL: &[PgEnum] = &[$($(
            PgEnum { layer: Layer::$layer, name: $pg_name, labels: $name::LABELS },
        )+)+];

        $($(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DbEnum, Serialize, Deserialize)]
            #[db_enum(existing_type_path = $sql_type)]
            pub enum $name {
                $(
                    #[doc = concat!("`", $label, "`")]
                    $(#[doc = ""] #[doc = $variant_doc])*
                    #[db_enum(rename = $label)]
                    #[serde(rename = $label)]
                    $variant,
                )+
            }

            impl $name {
                /// Every value, in the sort order of the type.
                pub const ALL: &'static [Self] = &[$(Self::$variant),+];

                const LABELS: &'static [&'static str] = &[$($label),+];

                /// The label that PostgreSQL stores.
                pub const fn as_str(self) -> &'static str {
                    match self {
                        $(Self::$variant => $label,)+
                    }
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.pad(self.as_str())
                }
            }

            impl FromStr for $name {
                type Err = UnknownLabel;

                fn from_str(text: &str) -> Result<Self, UnknownLabel> {
                    match text {
                        $($label => Ok(Self::$variant),)+
                        _ => Err(UnknownLabel {
                            type_name: $pg_name,
                            found: text.to_owned(),
                            labels: Self::LABELS,
                        }),
                    }
                }
            }
        )+)+
    };
}

pg_enums! {
    Core {
        /// Subscription plan of a customer.
        CustomerPlan = "customerplan" ("crate::schema::sql_types::Customerplan") {
            Free = "free",
            Startup = "startup",
            Enterprise = "enterprise",
        }

        /// Standing of a customer account.
        CustomerStatus = "customerstatus" ("crate::schema::sql_types::Customerstatus") {
            Active = "active",
            Suspended = "suspended",
            /// Left the platform.
            Churned = "churned",
        }

        /// The five kinds of agent of the platform.
        AgentType = "agenttype" ("crate::schema::sql_types::Agenttype") {
            Orchestrator = "orchestrator",
            Cost = "cost",
            Performance = "performance",
            Resource = "resource",
            Application = "application",
        }

        /// Health that an agent reports of itself.
        AgentStatus = "agentstatus" ("crate::schema::sql_types::Agentstatus") {
            /// Registered, not yet ready.
            Starting = "starting",
            Healthy = "healthy",
            Degraded = "degraded",
            Failed = "failed",
            Stopped = "stopped",
        }

        /// How serious an event is.
        EventSeverity = "eventseverity" ("crate::schema::sql_types::Eventseverity") {
            Info = "info",
            Warning = "warning",
            Error = "error",
            Critical = "critical",
        }

        /// How urgent a recommendation is.
        RecommendationPriority = "recommendationpriority" ("crate::schema::sql_types::Recommendationpriority") {
            Low = "low",
            Medium = "medium",
            High = "high",
            Critical = "critical",
        }

        /// Where a recommendation stands between proposal and outcome.
        RecommendationStatus = "recommendationstatus" ("crate::schema::sql_types::Recommendationstatus") {
            Pending = "pending",
            Approved = "approved",
            Rejected = "rejected",
            Executing = "executing",
            Completed = "completed",
            Failed = "failed",
            /// Carried out and undone.
            RolledBack = "rolled_back",
        }

        /// Decision on a recommendation.
        ApprovalStatus = "approvalstatus" ("crate::schema::sql_types::Approvalstatus") {
            Pending = "pending",
            Approved = "approved",
            Rejected = "rejected",
        }

        /// Where the execution of a recommendation stands.
        OptimizationStatus = "optimizationstatus" ("crate::schema::sql_types::Optimizationstatus") {
            Queued = "queued",
            Executing = "executing",
            Completed = "completed",
            Failed = "failed",
            /// Carried out and undone.
            RolledBack = "rolled_back",
        }
    }

    AgentState {
        /// How to read the text of a configuration value.
        ConfigType = "configtype" ("crate::schema::sql_types::Configtype") {
            String = "string",
            Integer = "integer",
            Float = "float",
            Boolean = "boolean",
            Json = "json",
        }

        /// What an agent is doing at the moment.
        AgentStatusDetail = "agentstatusdetail" ("crate::schema::sql_types::Agentstatusdetail") {
            Idle = "idle",
            Busy = "busy",
            Processing = "processing",
            Waiting = "waiting",
            Error = "error",
        }

        /// How the samples of an agent metric behave over time.
        MetricType = "metrictype" ("crate::schema::sql_types::Metrictype") {
            /// Only ever grows.
            Counter = "counter",
            /// Goes up and down.
            Gauge = "gauge",
            /// A distribution of values.
            Histogram = "histogram",
        }
    }

    WorkflowHistory {
        /// What a workflow is for.
        WorkflowType = "workflow_type" ("crate::schema::sql_types::WorkflowType") {
            CostAnalysis = "cost_analysis",
            PerformanceTuning = "performance_tuning",
            ResourceOptimization = "resource_optimization",
            QualityCheck = "quality_check",
            ScalingDecision = "scaling_decision",
            ConfigurationUpdate = "configuration_update",
            HealthCheck = "health_check",
            AnomalyDetection = "anomaly_detection",
        }

        /// Where a workflow execution stands.
        WorkflowStatus = "workflow_status" ("crate::schema::sql_types::WorkflowStatus") {
            Pending = "pending",
            Running = "running",
            Completed = "completed",
            Failed = "failed",
            Cancelled = "cancelled",
            /// Stopped because it ran too long.
            Timeout = "timeout",
        }

        /// Where one step of a workflow stands.
        StepStatus = "step_status" ("crate::schema::sql_types::StepStatus") {
            Pending = "pending",
            Running = "running",
            Completed = "completed",
            Failed = "failed",
            Skipped = "skipped",
            /// Failed and is being tried again.
            Retrying = "retrying",
        }

        /// What kind of file a workflow produced.
        ArtifactType = "artifact_type" ("crate::schema::sql_types::ArtifactType") {
            Report = "report",
            Config = "config",
            Log = "log",
            Recommendation = "recommendation",
            Chart = "chart",
            Metrics = "metrics",
            Alert = "alert",
            Diagnostic = "diagnostic",
        }
    }

    Resource {
        /// The kind of resource that a metric measures.
        ResourceType = "resource_type" ("crate::schema::sql_types::ResourceType") {
            Gpu = "gpu",
            Cpu = "cpu",
            Memory = "memory",
            Disk = "disk",
            Network = "network",
        }

        /// What a scaling decision did.
        ScalingEventType = "scaling_event_type" ("crate::schema::sql_types::ScalingEventType") {
            ScaleUp = "scale_up",
            ScaleDown = "scale_down",
            /// Scaled by a prediction or a policy.
            AutoScaleTriggered = "auto_scale_triggered",
            /// Scaled at a person's request.
            ManualScale = "manual_scale",
            /// Decided against scaling after all.
            ScaleCancelled = "scale_cancelled",
        }
    }

    Application {
        /// Why a quality baseline was established.
        BaselineType = "baseline_type" ("crate::schema::sql_types::BaselineType") {
            /// The first one for a model.
            Initial = "initial",
            /// Replaces an earlier one.
            Updated = "updated",
            /// Kept to go back to.
            Rollback = "rollback",
        }

        /// Which aspect of quality got worse.
        RegressionType = "regression_type" ("crate::schema::sql_types::RegressionType") {
            QualityDrop = "quality_drop",
            LatencyIncrease = "latency_increase",
            HallucinationSpike = "hallucination_spike",
            ToxicityIncrease = "toxicity_increase",
        }

        /// How serious a quality regression is.
        RegressionSeverity = "regression_severity" ("crate::schema::sql_types::RegressionSeverity") {
            Low = "low",
            Medium = "medium",
            High = "high",
            Critical = "critical",
        }

        /// What was done about a quality regression.
        RegressionAction = "regression_action" ("crate::schema::sql_types::RegressionAction") {
            AlertOnly = "alert_only",
            RollbackTriggered = "rollback_triggered",
            ManualReview = "manual_review",
            AutoFixed = "auto_fixed",
        }
    }
}
