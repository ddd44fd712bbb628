//! What a migration may do: the planner's settings, as data. Pure.

use crate::model::ident::Ident;
use crate::model::loading::Loading;
use crate::model::options::{MigrateMode, MigrateRewrite, MigrateRules, TypeProfile};
use crate::model::rights::Barred;

pub use crate::model::options::{CreateOptions, ForcedStrategy, Nullability, PartitionBy, PartitionWidth, Storage};

/// What a migration may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How far the table's shape may be changed.
    pub mode: MigrateMode,
    /// Whose rules about keys, unique constraints and nullability apply.
    pub profile: TypeProfile,
    /// Whether rows will be matched by the wanted primary key, so that a unique index over it must exist.
    pub needs_key: bool,
    /// The load that the table is made fit for, where it is for one.
    pub loading: Option<Loading>,
    /// Whether a nullable column of the stream drops the NOT NULL of a column that the table has.
    pub nullability: Nullability,
    /// Whether a widening may rewrite the table.
    pub rewrite: RewritePolicy,
    /// What `forced` does with a change that `safe` refuses.
    pub forced: ForcedStrategy,
    /// How a table is created.
    pub create: CreateOptions,
    /// Whether CloudQuery's index over `_cq_source_name, _cq_sync_time` is wanted.
    pub performance_indexes: bool,
    /// Why nothing may be changed, where the caller lacks the right to.
    pub barred: Option<Barred>,
}

/// Whether a widening may rewrite the table under an ACCESS EXCLUSIVE lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewritePolicy {
    /// Always.
    Allow,
    /// Only while the table with its indexes has at most this many bytes; always in mode `forced`.
    UpToBytes(u64),
    /// Never, also not in mode `forced`.
    Never,
}

impl From<MigrateRewrite> for RewritePolicy {
    fn from(word: MigrateRewrite) -> Self {
        match word {
            MigrateRewrite::Small => Self::default(),
            MigrateRewrite::Allow => Self::Allow,
            MigrateRewrite::Never => Self::Never,
        }
    }
}

impl Default for RewritePolicy {
    /// 64 MiB: rewritten in well under a second on any disk, so that no reader notices.
    fn default() -> Self {
        Self::UpToBytes(64 << 20)
    }
}

impl Policy {
    /// This policy under a request's rules.
    #[must_use]
    pub fn with_rules(self, rules: &MigrateRules) -> Self {
        Self {
            nullability: rules.nullability,
            rewrite: rules.rewrite.into(),
            forced: rules.forced_strategy,
            create: rules.create_table.clone(),
            barred: rules.barred.clone(),
            ..self
        }
    }

    /// Whether nullable stream columns drop NOT NULL.
    pub fn relaxes_not_null(&self) -> bool {
        match self.nullability {
            Nullability::Declared => true,
            Nullability::Advisory => false,
            Nullability::ByProfile => self.profile == TypeProfile::Cloudquery || self.mode == MigrateMode::Forced,
        }
    }

    /// The strategy of `forced`, with the profile's default filled in.
    pub fn forced_strategy(&self) -> ForcedStrategy {
        match (self.forced, self.profile) {
            (ForcedStrategy::ByProfile, TypeProfile::Native) => ForcedStrategy::Convert,
            (ForcedStrategy::ByProfile, TypeProfile::Cloudquery) => ForcedStrategy::KeepOld,
            (chosen, _) => chosen,
        }
    }

    /// Whether a rewrite of a table of that many bytes is allowed.
    pub fn allows_rewrite(&self, bytes: u64) -> bool {
        match self.rewrite {
            RewritePolicy::Allow => true,
            RewritePolicy::Never => false,
            RewritePolicy::UpToBytes(most) => bytes <= most || self.mode == MigrateMode::Forced,
        }
    }

    /// Whether the wanted key is CloudQuery's `_cq_id` alone.
    pub fn is_cq_id_key(&self, key: &[Ident]) -> bool {
        self.profile == TypeProfile::Cloudquery && matches!(key, [only] if only.as_str() == "_cq_id")
    }
}
